-- "Does this conversation hold that content?" stays a lookup. The b-tree held the conversation's
-- id and 64 characters of every message, nearly as much as the texts' words; a hash index holds
-- four bytes.
DROP INDEX idx_messages_content_hash;
CREATE INDEX idx_messages_content_hash ON messages USING HASH (content_hash);
