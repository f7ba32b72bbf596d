DROP TABLE search_queue, message_search;
DROP TEXT SEARCH CONFIGURATION exportd_english;
DROP TEXT SEARCH DICTIONARY exportd_english;
