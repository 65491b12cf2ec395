-- Rollups: sums of the facts by quarter-hour, which every time zone's days are made
-- of. The loader recomputes the months that have changed and puts the new table in
-- place as a whole, so a rollup is plainly read, without FINAL, and is what the facts
-- came to at rollup_refreshes.as_of or a little later.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS revenue_by_quarter_hour
(
    occurred_at      DateTime64(3, 'UTC')   COMMENT 'Start of the quarter-hour of the provider''s time' CODEC(Delta, LZ4),
    booked_at        DateTime64(3, 'UTC')   COMMENT 'Start of the quarter-hour of the booking' CODEC(Delta, LZ4),
    event_id         UUID                   COMMENT 'The event',
    organiser        LowCardinality(String) COMMENT 'The organiser''s id',
    currency         LowCardinality(String) COMMENT 'ISO 4217',
    test_mode        Bool                   COMMENT 'No real money; reports leave it out',
    imported         Bool                   COMMENT 'Brought in from another system',
    provider         LowCardinality(String) COMMENT 'The payment provider',
    method           LowCardinality(String) COMMENT 'The payment method at the provider',
    channel          LowCardinality(String) COMMENT 'Where it was sold',
    region           LowCardinality(String) COMMENT 'The region that accepted the order',
    ticket_type      LowCardinality(String) COMMENT 'The ticket type; empty where money is not known by line',
    unit_price_minor Int64                  COMMENT 'Price of one ticket',
    tax_rate_bp      UInt32                 COMMENT 'Tax rate in basis points: 1900 is 19 %',
    tax_mode         LowCardinality(String) COMMENT 'included, on_top, exempt, unspecified',
    kind             LowCardinality(String) COMMENT 'charge, refund',
    amount_minor     Int64                  COMMENT 'Sum of the money, positive for charges and refunds alike',
    discount_minor   Int64                  COMMENT 'Sum of the discounts on what was charged',
    tax_minor        Int64                  COMMENT 'Sum of the tax within amount_minor',
    fee_minor        Int64                  COMMENT 'Sum of the provider''s fees',
    quantity         UInt64                 COMMENT 'Tickets that were paid for or given back',
    movements        UInt64                 COMMENT 'Rows of movements that this sums up',
    source           LowCardinality(String) COMMENT 'The state of the month of movements that this was computed of',
    as_of            DateTime64(3, 'UTC')   COMMENT 'Newest record that was loaded when the month was computed; it has not changed since' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (booked_at, event_id, ticket_type, kind)
COMMENT 'Movements by quarter-hour and all that money is told apart by; exact as of rollup_refreshes, read without FINAL';

CREATE TABLE IF NOT EXISTS orders_by_quarter_hour
(
    requested_at      DateTime64(3, 'UTC')   COMMENT 'Start of the quarter-hour of the request' CODEC(Delta, LZ4),
    decided_at        DateTime64(3, 'UTC')   COMMENT 'Start of the quarter-hour of the decision; 1970 while open' CODEC(Delta, LZ4),
    cancelled_at      DateTime64(3, 'UTC')   COMMENT 'Start of the quarter-hour of the cancellation of the whole order; 1970 for none' CODEC(Delta, LZ4),
    event_id          UUID                   COMMENT 'The event',
    organiser         LowCardinality(String) COMMENT 'The organiser''s id',
    currency          LowCardinality(String) COMMENT 'ISO 4217',
    test_mode         Bool                   COMMENT 'No real money; reports leave it out',
    imported          Bool                   COMMENT 'Brought in from another system',
    channel           LowCardinality(String) COMMENT 'Where it was sold',
    region            LowCardinality(String) COMMENT 'The region that accepted it',
    outcome           LowCardinality(String) COMMENT 'unspecified while open; confirmed, sold_out, payment_failed, expired, cancelled, rejected',
    reason            LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    reached           LowCardinality(String) COMMENT 'How far it came: requested, held (had all seats), charged (a payment was asked for), confirmed (also if it was cancelled later)',
    registrations     UInt64                 COMMENT 'Registrations that this sums up',
    tickets           UInt64                 COMMENT 'Tickets that they asked for',
    amount_minor      Int64                  COMMENT 'What the attendees pay for them',
    cancelled_tickets UInt64                 COMMENT 'Tickets of lines that were cancelled after they were confirmed',
    cancelled_minor   Int64                  COMMENT 'What was paid for those lines',
    source            LowCardinality(String) COMMENT 'The state of the month of registrations that this was computed of',
    as_of             DateTime64(3, 'UTC')   COMMENT 'Newest record that was loaded when the month was computed; it has not changed since' CODEC(Delta, LZ4),
    INDEX decided decided_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(requested_at)
ORDER BY (requested_at, event_id, outcome)
COMMENT 'Registrations by quarter-hour and outcome; exact as of rollup_refreshes, read without FINAL';

CREATE TABLE IF NOT EXISTS rollup_refreshes
(
    rollup       LowCardinality(String) COMMENT 'The rollup: a table',
    as_of        DateTime64(3, 'UTC')   COMMENT 'Everything up to here is in it: the newest record in the audit trail when the refresh began',
    refreshed_at DateTime64(3, 'UTC')   COMMENT 'When the refresh was complete',
    recomputed   UInt32                 COMMENT 'Months that it recomputed'
)
ENGINE = ReplacingMergeTree(refreshed_at)
ORDER BY rollup
COMMENT 'As of when each rollup is exact, last refresh wins; read with FINAL';

-- +goose Down
DROP TABLE IF EXISTS rollup_refreshes;
DROP TABLE IF EXISTS orders_by_quarter_hour;
DROP TABLE IF EXISTS revenue_by_quarter_hour;
