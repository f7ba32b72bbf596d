DROP TABLE purge_folders, purged_contents, purges;
