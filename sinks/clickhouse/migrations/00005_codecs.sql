-- Facts are sorted by random ids, so neighbours have nothing to do with each other and
-- their differences are larger than they are: Delta made times longer. T64 leaves out
-- the bits that all values of a granule share. Parts take the new codecs when they
-- are merged.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE registrations
    MODIFY COLUMN `request_time` CODEC(T64, LZ4),
    MODIFY COLUMN `held_at` CODEC(T64, LZ4),
    MODIFY COLUMN `decided_at` CODEC(T64, LZ4),
    MODIFY COLUMN `settled_at` CODEC(T64, LZ4),
    MODIFY COLUMN `cancelled_at` CODEC(T64, LZ4),
    MODIFY COLUMN `changed_at` CODEC(T64, LZ4),
    MODIFY COLUMN `partition` CODEC(T64, LZ4),
    MODIFY COLUMN `offset` CODEC(T64, LZ4);

ALTER TABLE payments
    MODIFY COLUMN `requested_at` CODEC(T64, LZ4),
    MODIFY COLUMN `captured_at` CODEC(T64, LZ4),
    MODIFY COLUMN `changed_at` CODEC(T64, LZ4),
    MODIFY COLUMN `partition` CODEC(T64, LZ4),
    MODIFY COLUMN `offset` CODEC(T64, LZ4),
    MODIFY COLUMN `provider_reference` CODEC(ZSTD(1));

-- +goose Down
ALTER TABLE registrations
    MODIFY COLUMN `request_time` CODEC(Delta, LZ4),
    MODIFY COLUMN `held_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `decided_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `settled_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `cancelled_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `changed_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `partition` CODEC(Default),
    MODIFY COLUMN `offset` CODEC(Default);

ALTER TABLE payments
    MODIFY COLUMN `requested_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `captured_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `changed_at` CODEC(Delta, LZ4),
    MODIFY COLUMN `partition` CODEC(Default),
    MODIFY COLUMN `offset` CODEC(Default),
    MODIFY COLUMN `provider_reference` CODEC(Default);
