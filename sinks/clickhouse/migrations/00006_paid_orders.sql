-- What makes reports of ten million orders quick. The open items need every order
-- beside its money: for the months of the past that is joined once and kept here, and a
-- report joins only what has come since.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS paid_orders
(
    snapshot              UUID                   COMMENT 'The month and the moment that the row is of: paid_orders_snapshots',
    registration_id       UUID                   COMMENT 'The registration' CODEC(NONE),
    payment_id            UUID                   COMMENT 'The payment; zero when there is none' CODEC(NONE),
    event_id              UUID                   COMMENT 'The event',
    organiser             LowCardinality(String) COMMENT 'The organiser''s id',
    currency              LowCardinality(String) COMMENT 'ISO 4217',
    test_mode             Bool                   COMMENT 'No real money; reports leave it out',
    has_order             Bool                   COMMENT 'The registration is of this month',
    has_payment           Bool                   COMMENT 'The payment is of this month; one half of an order lies in each of two snapshots when they were asked for in different months',
    stands                Bool                   COMMENT 'The order was confirmed, whatever became of it later',
    outcome               LowCardinality(String) COMMENT 'The registration''s outcome',
    reason                LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    imported              Bool                   COMMENT 'Brought in from another system',
    total_minor           Int64                  COMMENT 'What the attendee pays for all lines' CODEC(T64, LZ4),
    cancelled_minor       Int64                  COMMENT 'What of it is for lines that were cancelled' CODEC(T64, LZ4),
    decided_at            DateTime64(3, 'UTC')   COMMENT 'When the outcome was decided' CODEC(T64, LZ4),
    cancelled_at          DateTime64(3, 'UTC')   COMMENT 'When it was cancelled as a whole after being confirmed' CODEC(T64, LZ4),
    changed_at            DateTime64(3, 'UTC')   COMMENT 'When this version of the registration came about' CODEC(T64, LZ4),
    captured_minor        Int64                  COMMENT 'What was captured' CODEC(T64, LZ4),
    captured_at           DateTime64(3, 'UTC')   COMMENT 'The provider''s time of it' CODEC(T64, LZ4),
    booked_at             DateTime64(3, 'UTC')   COMMENT 'When it became known here' CODEC(T64, LZ4),
    refund_amounts        Array(Int64) COMMENT 'What each refund gives back',
    refund_statuses Array(LowCardinality(String)) COMMENT 'pending, done, parked',
    refunds_requested_at Array(DateTime64(3, 'UTC')) COMMENT 'When it was asked for',
    refunds_refunded_at Array(DateTime64(3, 'UTC')) COMMENT 'The provider''s time of it',
    refunds_booked_at Array(DateTime64(3, 'UTC')) COMMENT 'When it became known here',
    opens_at              DateTime64(3, 'UTC')   COMMENT 'Before it the order has no part in any balance' CODEC(T64, LZ4),
    quiet_at              DateTime64(3, 'UTC')   COMMENT 'After it the order has no part in any balance; 2262 while something of it is open' CODEC(T64, LZ4)
)
ENGINE = MergeTree
PARTITION BY snapshot
ORDER BY (has_order AND has_payment, quiet_at)
COMMENT 'Orders that were confirmed or paid for beside their money, month by month as they were at a moment; what has changed since is taken from registrations and payments';

CREATE TABLE IF NOT EXISTS paid_orders_snapshots
(
    month       UInt32                 COMMENT 'Month in which the orders were requested, or their payments',
    snapshot    UUID                   COMMENT 'The rows of it in paid_orders',
    tables      String                 COMMENT 'Ids of the tables that it was made of',
    parts       Array(String)          COMMENT 'Parts of the month that were certainly read: rows in any other may be newer',
    orders      UInt64                 COMMENT 'Rows of it',
    made_at     DateTime64(3, 'UTC')   COMMENT 'When it was complete',
    counts_from DateTime64(3, 'UTC')   COMMENT 'When readers may use it: a query that was under way when it was made may not see its rows'
)
ENGINE = ReplacingMergeTree(made_at)
ORDER BY month
COMMENT 'What stands in paid_orders. The newest of a month stands as long as all its parts and rows are there; an order is taken from it when no part that is not listed has a row of it';

-- Times that never change once they are there find the parts and granules of a period.
ALTER TABLE movements ADD INDEX IF NOT EXISTS booked booked_at TYPE minmax GRANULARITY 1;
ALTER TABLE payments ADD INDEX IF NOT EXISTS booked booked_at TYPE minmax GRANULARITY 1;
ALTER TABLE registrations ADD INDEX IF NOT EXISTS decided decided_at TYPE minmax GRANULARITY 1;
ALTER TABLE movements MATERIALIZE INDEX booked;
ALTER TABLE payments MATERIALIZE INDEX booked;
ALTER TABLE registrations MATERIALIZE INDEX decided;

-- A month at rest becomes one part, which FINAL reads as it is. (Those of the other two
-- are merged when they are joined: a part that is merged away is no snapshot's any more.)
ALTER TABLE movements MODIFY SETTING min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1;

-- +goose Down
ALTER TABLE movements RESET SETTING min_age_to_force_merge_seconds, min_age_to_force_merge_on_partition_only;
ALTER TABLE registrations DROP INDEX IF EXISTS decided;
ALTER TABLE payments DROP INDEX IF EXISTS booked;
ALTER TABLE movements DROP INDEX IF EXISTS booked;
DROP TABLE IF EXISTS paid_orders_snapshots;
DROP TABLE IF EXISTS paid_orders;
