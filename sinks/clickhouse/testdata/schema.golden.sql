CREATE TABLE catalog_events
(
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `name` String COMMENT 'Name of the event',
    `venue` String COMMENT 'Where it takes place',
    `region` LowCardinality(String) COMMENT 'Region of the event',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `status` LowCardinality(String) COMMENT 'opening, on_sale, cancelled, unknown',
    `ticket_types.id` Array(LowCardinality(String)) COMMENT 'Its ticket types',
    `ticket_types.name` Array(String) COMMENT 'Their names',
    `ticket_types.price_minor` Array(Int64) COMMENT 'Price of one ticket',
    `ticket_types.tax_rate_bp` Array(UInt32) COMMENT 'Tax rate in basis points: 1900 is 19 %',
    `ticket_types.tax_mode` Array(LowCardinality(String)) COMMENT 'included, on_top, exempt',
    `ticket_types.capacity` Array(UInt32) COMMENT 'Seats of all blocks, closed ones included',
    `ticket_types.blocks` Array(UInt32) COMMENT 'Number of seat blocks',
    `max_per_attendee` UInt32 COMMENT 'Most tickets that one attendee may hold; 0 means no limit',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `cancel_reason` String COMMENT 'Why the event was cancelled',
    `starts_at` DateTime64(3, 'UTC') COMMENT 'When the event starts',
    `sale_starts_at` DateTime64(3, 'UTC') COMMENT 'When the sale starts',
    `sale_ends_at` DateTime64(3, 'UTC') COMMENT 'When the sale ends',
    `created_at` DateTime64(3, 'UTC') COMMENT 'When the event was created',
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version came about',
    `version` UInt64 COMMENT 'Raised by one with every visible change',
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition',
    `offset` Int64 COMMENT 'Its offset'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY event_id
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
COMMENT 'The events that tickets are sold for, last version wins; read with FINAL';

CREATE TABLE seat_blocks
(
    `event_id` UUID COMMENT 'The event',
    `ticket_type` LowCardinality(String) COMMENT 'The ticket type',
    `block` UInt32 COMMENT 'Number of the block within its ticket type, from 1',
    `size` UInt32 COMMENT 'Seats of the block',
    `held` UInt32 COMMENT 'Seats that are held',
    `sold` UInt32 COMMENT 'Seats that are sold',
    `free` UInt32 COMMENT 'Seats that can be had; held + sold + free + withdrawn = size (I1)',
    `withdrawn` UInt32 COMMENT 'Seats that no one can have because the block was closed',
    `changed_at` DateTime64(3, 'UTC') COMMENT 'Time of the record with this version',
    `version` UInt64 COMMENT 'Raised by one with every change of the block',
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition',
    `offset` Int64 COMMENT 'Its offset'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (event_id, ticket_type, block)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
COMMENT 'Seats by block, last version wins; read with FINAL';

CREATE TABLE payments
(
    `payment_id` UUID COMMENT 'The payment' CODEC(NONE),
    `registration_id` UUID COMMENT 'The registration that it pays for' CODEC(NONE),
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `status` LowCardinality(String) COMMENT 'pending, captured, declined, cancelled, refunded, parked',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `amount_minor` Int64 COMMENT 'What was to be charged',
    `method` LowCardinality(String) COMMENT 'The payment method at the provider',
    `provider_reference` String COMMENT 'The charge at the provider',
    `captured_minor` Int64 COMMENT 'What was captured',
    `fee_minor` Int64 COMMENT 'What the provider keeps of it',
    `refunded_minor` Int64 COMMENT 'What was given back so far',
    `refunds.refund_id` Array(UUID) COMMENT 'The refunds',
    `refunds.amount_minor` Array(Int64) COMMENT 'What each gives back',
    `refunds.status` Array(LowCardinality(String)) COMMENT 'pending, done, parked',
    `refunds.provider_reference` Array(String) COMMENT 'The refund at the provider',
    `refunds.refunded_at` Array(DateTime64(3, 'UTC')) COMMENT 'The provider\'s time, the day of the books (I4)',
    `refunds.requested_at` Array(DateTime64(3, 'UTC')) COMMENT 'When it was asked for',
    `refunds.reason` Array(LowCardinality(String)) COMMENT 'Why',
    `decline_code` LowCardinality(String) COMMENT 'Why the provider declined',
    `unwanted` Bool COMMENT 'Nobody wants the charge any more; what is captured is given back in full',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `requested_at` DateTime64(3, 'UTC') COMMENT 'When the charge was asked for' CODEC(Delta(8), LZ4),
    `captured_at` DateTime64(3, 'UTC') COMMENT 'The provider\'s time of the capture, the day of the books (I4)' CODEC(Delta(8), LZ4),
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version came about' CODEC(Delta(8), LZ4),
    `version` UInt64 COMMENT 'Raised by one with every visible change',
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition',
    `offset` Int64 COMMENT 'Its offset'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(requested_at)
ORDER BY (event_id, payment_id)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
COMMENT 'Every payment with its refunds, last version wins; read with FINAL';

CREATE TABLE registrations
(
    `registration_id` UUID COMMENT 'The registration' CODEC(NONE),
    `event_id` UUID COMMENT 'The event that it is for',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `attendee_id` UUID COMMENT 'The attendee, pseudonymous' CODEC(NONE),
    `step` LowCardinality(String) COMMENT 'Where the saga stands: requested, holding, charging, settling, settled',
    `outcome` LowCardinality(String) COMMENT 'unspecified while open; confirmed, sold_out, payment_failed, expired, cancelled, rejected',
    `reason` LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    `settled` Bool COMMENT 'Every block ever asked has answered and the payment is final',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `total_minor` Int64 COMMENT 'What the attendee pays for all lines',
    `lines.line` Array(UInt32) COMMENT 'Numbers of the lines, from 1; one line a ticket type',
    `lines.ticket_type` Array(LowCardinality(String)) COMMENT 'Their ticket types',
    `lines.quantity` Array(UInt32) COMMENT 'Tickets of each line',
    `lines.unit_price_minor` Array(Int64) COMMENT 'Price of one ticket',
    `lines.tax_rate_bp` Array(UInt32) COMMENT 'Tax rate in basis points: 1900 is 19 %',
    `lines.tax_mode` Array(LowCardinality(String)) COMMENT 'included, on_top, exempt',
    `lines.discount_minor` Array(Int64) COMMENT 'Discount of the line',
    `lines.tax_minor` Array(Int64) COMMENT 'Tax of the line, rounded once',
    `lines.total_minor` Array(Int64) COMMENT 'What the attendee pays for the line',
    `lines.cancelled` Array(Bool) COMMENT 'Cancelled after it was confirmed',
    `payment_id` UUID COMMENT 'The payment; zero when the order is free or was never charged' CODEC(NONE),
    `payment_method` LowCardinality(String) COMMENT 'The payment method at the provider',
    `channel` LowCardinality(String) COMMENT 'Where it was sold',
    `region` LowCardinality(String) COMMENT 'The region that accepted it',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `event_version` UInt64 COMMENT 'Version of the event that prices were taken from',
    `request_time` DateTime64(3, 'UTC') COMMENT 'When the request was accepted; never changes' CODEC(Delta(8), LZ4),
    `held_at` DateTime64(3, 'UTC') COMMENT 'When it had all its seats' CODEC(Delta(8), LZ4),
    `decided_at` DateTime64(3, 'UTC') COMMENT 'When the outcome was decided' CODEC(Delta(8), LZ4),
    `settled_at` DateTime64(3, 'UTC') COMMENT 'When it was settled' CODEC(Delta(8), LZ4),
    `cancelled_at` DateTime64(3, 'UTC') COMMENT 'When it was cancelled after being confirmed' CODEC(Delta(8), LZ4),
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version came about' CODEC(Delta(8), LZ4),
    `version` UInt64 COMMENT 'Raised by one with every visible change',
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition',
    `offset` Int64 COMMENT 'Its offset'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(request_time)
ORDER BY (event_id, registration_id)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
COMMENT 'Every registration, last version wins; read with FINAL';

CREATE TABLE events
(
    `topic` LowCardinality(String) COMMENT 'Topic of the record',
    `partition` Int32 COMMENT 'Its partition',
    `offset` Int64 COMMENT 'Its offset' CODEC(Delta(8), LZ4),
    `time` DateTime64(3, 'UTC') COMMENT 'Timestamp of the record' CODEC(Delta(8), LZ4),
    `key` UUID COMMENT 'Its key: the registration, or the event for catalog-events and block-events' CODEC(NONE),
    `kind` LowCardinality(String) COMMENT 'What happened: the step or outcome, the payment\'s status, the block\'s answer; undecodable when nobody can tell',
    `version` UInt64 COMMENT 'Version of the registration, payment, block or event after it' CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
COMMENT 'The audit trail: one row a record of every event topic, once at read however often it was loaded; read with FINAL';

