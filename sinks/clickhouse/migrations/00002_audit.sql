-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS events
(
    topic     LowCardinality(String) COMMENT 'Topic of the record',
    partition Int32                  COMMENT 'Its partition',
    offset    Int64                  COMMENT 'Its offset' CODEC(Delta, LZ4),
    time      DateTime64(3, 'UTC')   COMMENT 'Timestamp of the record' CODEC(Delta, LZ4),
    key       UUID                   COMMENT 'Its key: the registration, or the event for catalog-events and block-events' CODEC(NONE),
    kind      LowCardinality(String) COMMENT 'What happened: the step or outcome, the payment''s status, the block''s answer; undecodable when nobody can tell',
    version   UInt64                 COMMENT 'Version of the registration, payment, block or event after it' CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'The audit trail: one row a record of every event topic, once at read however often it was loaded; read with FINAL';

-- +goose Down
DROP TABLE IF EXISTS events;
