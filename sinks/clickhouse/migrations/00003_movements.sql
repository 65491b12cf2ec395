-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS movements
(
    movement_id        UUID                   COMMENT 'The charge, which has the payment''s id, or the refund' CODEC(NONE),
    line               UInt32                 COMMENT 'The line of the order that it pays for or gives back; 0 when that is not known by line' CODEC(T64, LZ4),
    kind               LowCardinality(String) COMMENT 'charge, refund',
    payment_id         UUID                   COMMENT 'The payment' CODEC(NONE),
    registration_id    UUID                   COMMENT 'The registration that it pays for' CODEC(NONE),
    event_id           UUID                   COMMENT 'The event',
    organiser          LowCardinality(String) COMMENT 'The organiser''s id',
    currency           LowCardinality(String) COMMENT 'ISO 4217',
    provider           LowCardinality(String) COMMENT 'The payment provider; empty in older records',
    method             LowCardinality(String) COMMENT 'The payment method at the provider',
    channel            LowCardinality(String) COMMENT 'Where it was sold; empty in older records',
    region             LowCardinality(String) COMMENT 'The region that accepted the order; empty in older records',
    ticket_type        LowCardinality(String) COMMENT 'The line''s ticket type; empty on line 0',
    tax_mode           LowCardinality(String) COMMENT 'included, on_top, exempt; unspecified on line 0',
    unit_price_minor   Int64                  COMMENT 'Price of one ticket; 0 on line 0' CODEC(T64, LZ4),
    tax_rate_bp        UInt32                 COMMENT 'Tax rate in basis points: 1900 is 19 %',
    quantity           UInt32                 COMMENT 'Tickets that are paid for or given back; 0 when it is not a whole line' CODEC(T64, LZ4),
    amount_minor       Int64                  COMMENT 'The money, positive for charges and refunds alike' CODEC(T64, LZ4),
    discount_minor     Int64                  COMMENT 'Discount of the line that is paid for; 0 on refunds',
    tax_minor          Int64                  COMMENT 'Tax within amount_minor' CODEC(T64, LZ4),
    fee_minor          Int64                  COMMENT 'What the provider keeps of the whole charge, on the row of its first line; 0 on all others' CODEC(T64, LZ4),
    test_mode          Bool                   COMMENT 'No real money; reports leave it out',
    imported           Bool                   COMMENT 'Brought in from another system',
    occurred_at        DateTime64(3, 'UTC')   COMMENT 'The provider''s time: the day of the money (I4)' CODEC(T64, LZ4),
    booked_at          DateTime64(3, 'UTC')   COMMENT 'When it became known here: the day of the books' CODEC(T64, LZ4),
    provider_reference String                 COMMENT 'The charge or refund at the provider' CODEC(ZSTD(1)),
    version            UInt64                 COMMENT 'Version of the payment that the row was made of' CODEC(T64, LZ4),
    topic              LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    partition          Int32                  COMMENT 'Its partition' CODEC(T64, LZ4),
    offset             Int64                  COMMENT 'Its offset' CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (event_id, movement_id, line)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'The journal of money: one row a line of a captured charge or of a refund that is done. Sums are the provider''s ledger (I4). Once written a row only changes its version and source; read with FINAL';

-- What payments lack. Rows of before have no date of their booking: the day of
-- their money stands for it.
ALTER TABLE payments
    COMMENT COLUMN captured_at 'The provider''s time of the capture: the day of the money (I4)',
    COMMENT COLUMN `refunds.refunded_at` 'The provider''s time: the day of the money (I4)',
    ADD COLUMN IF NOT EXISTS booked_at DateTime64(3, 'UTC') DEFAULT captured_at COMMENT 'When the capture became known here: the day of the books' CODEC(T64, LZ4) AFTER captured_at,
    ADD COLUMN IF NOT EXISTS provider LowCardinality(String) COMMENT 'The payment provider; empty in older records' AFTER method,
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'Where it was sold; empty in older records' AFTER unwanted,
    ADD COLUMN IF NOT EXISTS region LowCardinality(String) COMMENT 'The region that accepted the order; empty in older records' AFTER channel,
    ADD COLUMN IF NOT EXISTS `refunds.line` Array(UInt32) COMMENT 'The line that each gives back whole; 0 for all that no earlier one gives back' AFTER `refunds.reason`,
    ADD COLUMN IF NOT EXISTS `refunds.booked_at` Array(DateTime64(3, 'UTC')) DEFAULT `refunds.refunded_at` COMMENT 'When each became known here: the day of the books' AFTER `refunds.refunded_at`;

-- The movements of what was loaded before. They are the rows that the loader
-- makes of such payments, so doing it twice, or beside the loader, changes nothing.
INSERT INTO movements (movement_id, kind, payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, tax_mode,
    amount_minor, fee_minor, test_mode, imported, occurred_at, booked_at, provider_reference, version, topic, partition, offset)
SELECT payment_id, 'charge', payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, 'unspecified',
    captured_minor, fee_minor, test_mode, imported, captured_at, booked_at, provider_reference, version, topic, partition, offset
FROM payments FINAL
WHERE captured_minor != 0
SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO movements (movement_id, kind, payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, tax_mode,
    amount_minor, test_mode, imported, occurred_at, booked_at, provider_reference, version, topic, partition, offset)
SELECT refund_id, 'refund', payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, 'unspecified',
    amount, test_mode, imported, at, booked, reference, version, topic, partition, offset
FROM
(
    SELECT * FROM payments FINAL WHERE has(refunds.status, 'done')
)
ARRAY JOIN refunds.refund_id AS refund_id, refunds.amount_minor AS amount, refunds.status AS refund_status, refunds.refunded_at AS at,
    refunds.booked_at AS booked, refunds.provider_reference AS reference
WHERE refund_status = 'done'
SETTINGS max_partitions_per_insert_block = 0;

CREATE VIEW IF NOT EXISTS registration_lines
(
    registration_id  UUID                   COMMENT 'The registration',
    line             UInt32                 COMMENT 'Number of the line within it, from 1',
    event_id         UUID                   COMMENT 'The event',
    organiser        LowCardinality(String) COMMENT 'The organiser''s id',
    attendee_id      UUID                   COMMENT 'The attendee, pseudonymous',
    step             LowCardinality(String) COMMENT 'Where the saga stands',
    outcome          LowCardinality(String) COMMENT 'The registration''s outcome; unspecified while open',
    reason           LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    settled          Bool                   COMMENT 'Nothing is outstanding',
    ticket_type      LowCardinality(String) COMMENT 'The line''s ticket type',
    quantity         UInt32                 COMMENT 'Tickets of the line',
    currency         LowCardinality(String) COMMENT 'ISO 4217',
    unit_price_minor Int64                  COMMENT 'Price of one ticket',
    tax_rate_bp      UInt32                 COMMENT 'Tax rate in basis points: 1900 is 19 %',
    tax_mode         LowCardinality(String) COMMENT 'included, on_top, exempt',
    discount_minor   Int64                  COMMENT 'Discount of the line',
    tax_minor        Int64                  COMMENT 'Tax of the line, rounded once',
    total_minor      Int64                  COMMENT 'What the attendee pays for the line',
    cancelled        Bool                   COMMENT 'Cancelled after it was confirmed',
    payment_id       UUID                   COMMENT 'The payment; zero when the order is free or was never charged',
    payment_method   LowCardinality(String) COMMENT 'The payment method at the provider',
    channel          LowCardinality(String) COMMENT 'Where it was sold',
    region           LowCardinality(String) COMMENT 'The region that accepted it',
    test_mode        Bool                   COMMENT 'No real money; reports leave it out',
    imported         Bool                   COMMENT 'Brought in from another system',
    request_time     DateTime64(3, 'UTC')   COMMENT 'When the request was accepted',
    held_at          DateTime64(3, 'UTC')   COMMENT 'When it had all its seats',
    decided_at       DateTime64(3, 'UTC')   COMMENT 'When the outcome was decided',
    cancelled_at     DateTime64(3, 'UTC')   COMMENT 'When it was cancelled after being confirmed',
    changed_at       DateTime64(3, 'UTC')   COMMENT 'When this version came about',
    version          UInt64                 COMMENT 'Version of the registration'
)
AS SELECT
    registration_id, line, event_id, organiser, attendee_id, step, outcome, reason, settled, ticket_type, quantity, currency, unit_price_minor,
    tax_rate_bp, tax_mode, discount_minor, tax_minor, line_total_minor AS total_minor, cancelled, payment_id, payment_method, channel, region,
    test_mode, imported, request_time, held_at, decided_at, cancelled_at, changed_at, version
FROM registrations FINAL
ARRAY JOIN
    lines.line AS line, lines.ticket_type AS ticket_type, lines.quantity AS quantity, lines.unit_price_minor AS unit_price_minor,
    lines.tax_rate_bp AS tax_rate_bp, lines.tax_mode AS tax_mode, lines.discount_minor AS discount_minor, lines.tax_minor AS tax_minor,
    lines.total_minor AS line_total_minor, lines.cancelled AS cancelled
COMMENT 'One row a line of every registration with its last version, exact at read; every column is the registration''s own unless it says otherwise';

CREATE VIEW IF NOT EXISTS refunds
(
    refund_id          UUID                   COMMENT 'The refund',
    payment_id         UUID                   COMMENT 'The payment that it gives back',
    registration_id    UUID                   COMMENT 'The registration',
    event_id           UUID                   COMMENT 'The event',
    organiser          LowCardinality(String) COMMENT 'The organiser''s id',
    currency           LowCardinality(String) COMMENT 'ISO 4217',
    line               UInt32                 COMMENT 'The line that it gives back whole; 0 for all that no earlier one gives back',
    amount_minor       Int64                  COMMENT 'What it gives back',
    status             LowCardinality(String) COMMENT 'pending, done, parked',
    reason             LowCardinality(String) COMMENT 'Why the money goes back; once parked, why a person must look',
    provider           LowCardinality(String) COMMENT 'The payment provider; empty in older records',
    method             LowCardinality(String) COMMENT 'The payment method at the provider',
    channel            LowCardinality(String) COMMENT 'Where it was sold; empty in older records',
    region             LowCardinality(String) COMMENT 'The region that accepted the order; empty in older records',
    provider_reference String                 COMMENT 'The refund at the provider',
    test_mode          Bool                   COMMENT 'No real money; reports leave it out',
    imported           Bool                   COMMENT 'Brought in from another system',
    requested_at       DateTime64(3, 'UTC')   COMMENT 'When it was asked for',
    refunded_at        DateTime64(3, 'UTC')   COMMENT 'The provider''s time: the day of the money (I4)',
    booked_at          DateTime64(3, 'UTC')   COMMENT 'When it became known here: the day of the books',
    version            UInt64                 COMMENT 'Version of the payment'
)
AS SELECT
    refund_id, payment_id, registration_id, event_id, organiser, currency, line, refund_minor AS amount_minor, refund_status AS status, reason,
    provider, method, channel, region, refund_reference AS provider_reference, test_mode, imported, refund_requested_at AS requested_at,
    refunded_at, refund_booked_at AS booked_at, version
FROM payments FINAL
ARRAY JOIN
    refunds.refund_id AS refund_id, refunds.line AS line, refunds.amount_minor AS refund_minor, refunds.status AS refund_status,
    refunds.reason AS reason, refunds.provider_reference AS refund_reference, refunds.requested_at AS refund_requested_at,
    refunds.refunded_at AS refunded_at, refunds.booked_at AS refund_booked_at
COMMENT 'One row a refund of every payment with its last version, exact at read; pending and parked ones included';

-- +goose Down
DROP VIEW IF EXISTS refunds;
DROP VIEW IF EXISTS registration_lines;
DROP TABLE IF EXISTS movements;
ALTER TABLE payments
    DROP COLUMN IF EXISTS `refunds.booked_at`,
    DROP COLUMN IF EXISTS `refunds.line`,
    DROP COLUMN IF EXISTS region,
    DROP COLUMN IF EXISTS channel,
    DROP COLUMN IF EXISTS provider,
    DROP COLUMN IF EXISTS booked_at;
