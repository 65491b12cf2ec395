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

CREATE TABLE movements
(
    `movement_id` UUID COMMENT 'The charge, which has the payment\'s id, or the refund' CODEC(NONE),
    `line` UInt32 COMMENT 'The line of the order that it pays for or gives back; 0 when that is not known by line' CODEC(T64, LZ4),
    `kind` LowCardinality(String) COMMENT 'charge, refund',
    `payment_id` UUID COMMENT 'The payment' CODEC(NONE),
    `registration_id` UUID COMMENT 'The registration that it pays for' CODEC(NONE),
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `provider` LowCardinality(String) COMMENT 'The payment provider; empty in older records',
    `method` LowCardinality(String) COMMENT 'The payment method at the provider',
    `channel` LowCardinality(String) COMMENT 'Where it was sold; empty in older records',
    `region` LowCardinality(String) COMMENT 'The region that accepted the order; empty in older records',
    `ticket_type` LowCardinality(String) COMMENT 'The line\'s ticket type; empty on line 0',
    `tax_mode` LowCardinality(String) COMMENT 'included, on_top, exempt; unspecified on line 0',
    `unit_price_minor` Int64 COMMENT 'Price of one ticket; 0 on line 0' CODEC(T64, LZ4),
    `tax_rate_bp` UInt32 COMMENT 'Tax rate in basis points: 1900 is 19 %',
    `quantity` UInt32 COMMENT 'Tickets that are paid for or given back; 0 when it is not a whole line' CODEC(T64, LZ4),
    `amount_minor` Int64 COMMENT 'The money, positive for charges and refunds alike' CODEC(T64, LZ4),
    `discount_minor` Int64 COMMENT 'Discount of the line that is paid for; 0 on refunds',
    `tax_minor` Int64 COMMENT 'Tax within amount_minor' CODEC(T64, LZ4),
    `fee_minor` Int64 COMMENT 'What the provider keeps of the whole charge, on the row of its first line; 0 on all others' CODEC(T64, LZ4),
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `occurred_at` DateTime64(3, 'UTC') COMMENT 'The provider\'s time: the day of the money (I4)' CODEC(T64, LZ4),
    `booked_at` DateTime64(3, 'UTC') COMMENT 'When it became known here: the day of the books' CODEC(T64, LZ4),
    `provider_reference` String COMMENT 'The charge or refund at the provider' CODEC(ZSTD(1)),
    `version` UInt64 COMMENT 'Version of the payment that the row was made of' CODEC(T64, LZ4),
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition' CODEC(T64, LZ4),
    `offset` Int64 COMMENT 'Its offset' CODEC(T64, LZ4),
    INDEX booked booked_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (event_id, movement_id, line)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192, min_age_to_force_merge_seconds = 600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'The journal of money: one row a line of a captured charge or of a refund that is done. Sums are the provider\'s ledger (I4). Once written a row only changes its version and source; read with FINAL';

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
    `provider` LowCardinality(String) COMMENT 'The payment provider; empty in older records',
    `provider_reference` String COMMENT 'The charge at the provider' CODEC(ZSTD(1)),
    `captured_minor` Int64 COMMENT 'What was captured',
    `fee_minor` Int64 COMMENT 'What the provider keeps of it',
    `refunded_minor` Int64 COMMENT 'What was given back so far',
    `refunds.refund_id` Array(UUID) COMMENT 'The refunds',
    `refunds.amount_minor` Array(Int64) COMMENT 'What each gives back',
    `refunds.status` Array(LowCardinality(String)) COMMENT 'pending, done, parked',
    `refunds.provider_reference` Array(String) COMMENT 'The refund at the provider',
    `refunds.refunded_at` Array(DateTime64(3, 'UTC')) COMMENT 'The provider\'s time: the day of the money (I4)',
    `refunds.booked_at` Array(DateTime64(3, 'UTC')) DEFAULT `refunds.refunded_at` COMMENT 'When each became known here: the day of the books',
    `refunds.requested_at` Array(DateTime64(3, 'UTC')) COMMENT 'When it was asked for',
    `refunds.reason` Array(LowCardinality(String)) COMMENT 'Why',
    `refunds.line` Array(UInt32) COMMENT 'The line that each gives back whole; 0 for all that no earlier one gives back',
    `decline_code` LowCardinality(String) COMMENT 'Why the provider declined',
    `unwanted` Bool COMMENT 'Nobody wants the charge any more; what is captured is given back in full',
    `channel` LowCardinality(String) COMMENT 'Where it was sold; empty in older records',
    `region` LowCardinality(String) COMMENT 'The region that accepted the order; empty in older records',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `requested_at` DateTime64(3, 'UTC') COMMENT 'When the charge was asked for' CODEC(T64, LZ4),
    `captured_at` DateTime64(3, 'UTC') COMMENT 'The provider\'s time of the capture: the day of the money (I4)' CODEC(T64, LZ4),
    `booked_at` DateTime64(3, 'UTC') DEFAULT captured_at COMMENT 'When the capture became known here: the day of the books' CODEC(T64, LZ4),
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version came about' CODEC(T64, LZ4),
    `version` UInt64 COMMENT 'Raised by one with every visible change',
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition' CODEC(T64, LZ4),
    `offset` Int64 COMMENT 'Its offset' CODEC(T64, LZ4),
    INDEX booked booked_at TYPE minmax GRANULARITY 1
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
    `request_time` DateTime64(3, 'UTC') COMMENT 'When the request was accepted; never changes' CODEC(T64, LZ4),
    `held_at` DateTime64(3, 'UTC') COMMENT 'When it had all its seats' CODEC(T64, LZ4),
    `decided_at` DateTime64(3, 'UTC') COMMENT 'When the outcome was decided' CODEC(T64, LZ4),
    `settled_at` DateTime64(3, 'UTC') COMMENT 'When it was settled' CODEC(T64, LZ4),
    `cancelled_at` DateTime64(3, 'UTC') COMMENT 'When it was cancelled after being confirmed' CODEC(T64, LZ4),
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version came about' CODEC(T64, LZ4),
    `version` UInt64 COMMENT 'Raised by one with every visible change',
    `topic` LowCardinality(String) COMMENT 'Topic of the record that this row comes from',
    `partition` Int32 COMMENT 'Its partition' CODEC(T64, LZ4),
    `offset` Int64 COMMENT 'Its offset' CODEC(T64, LZ4),
    INDEX decided decided_at TYPE minmax GRANULARITY 1
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

CREATE TABLE revenue_by_quarter_hour
(
    `occurred_at` DateTime64(3, 'UTC') COMMENT 'Start of the quarter-hour of the provider\'s time' CODEC(Delta(8), LZ4),
    `booked_at` DateTime64(3, 'UTC') COMMENT 'Start of the quarter-hour of the booking' CODEC(Delta(8), LZ4),
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `provider` LowCardinality(String) COMMENT 'The payment provider',
    `method` LowCardinality(String) COMMENT 'The payment method at the provider',
    `channel` LowCardinality(String) COMMENT 'Where it was sold',
    `region` LowCardinality(String) COMMENT 'The region that accepted the order',
    `ticket_type` LowCardinality(String) COMMENT 'The ticket type; empty where money is not known by line',
    `unit_price_minor` Int64 COMMENT 'Price of one ticket',
    `tax_rate_bp` UInt32 COMMENT 'Tax rate in basis points: 1900 is 19 %',
    `tax_mode` LowCardinality(String) COMMENT 'included, on_top, exempt, unspecified',
    `kind` LowCardinality(String) COMMENT 'charge, refund',
    `amount_minor` Int64 COMMENT 'Sum of the money, positive for charges and refunds alike',
    `discount_minor` Int64 COMMENT 'Sum of the discounts on what was charged',
    `tax_minor` Int64 COMMENT 'Sum of the tax within amount_minor',
    `fee_minor` Int64 COMMENT 'Sum of the provider\'s fees',
    `quantity` UInt64 COMMENT 'Tickets that were paid for or given back',
    `movements` UInt64 COMMENT 'Rows of movements that this sums up',
    `source` LowCardinality(String) COMMENT 'The state of the month of movements that this was computed of',
    `as_of` DateTime64(3, 'UTC') COMMENT 'Newest record that was loaded when the month was computed; it has not changed since' CODEC(Delta(8), LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (booked_at, event_id, ticket_type, kind)
SETTINGS index_granularity = 8192
COMMENT 'Movements by quarter-hour and all that money is told apart by; exact as of rollup_refreshes, read without FINAL';

CREATE TABLE orders_by_quarter_hour
(
    `requested_at` DateTime64(3, 'UTC') COMMENT 'Start of the quarter-hour of the request' CODEC(Delta(8), LZ4),
    `decided_at` DateTime64(3, 'UTC') COMMENT 'Start of the quarter-hour of the decision; 1970 while open' CODEC(Delta(8), LZ4),
    `cancelled_at` DateTime64(3, 'UTC') COMMENT 'Start of the quarter-hour of the cancellation of the whole order; 1970 for none' CODEC(Delta(8), LZ4),
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `channel` LowCardinality(String) COMMENT 'Where it was sold',
    `region` LowCardinality(String) COMMENT 'The region that accepted it',
    `outcome` LowCardinality(String) COMMENT 'unspecified while open; confirmed, sold_out, payment_failed, expired, cancelled, rejected',
    `reason` LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    `reached` LowCardinality(String) COMMENT 'How far it came: requested, held (had all seats), charged (a payment was asked for), confirmed (also if it was cancelled later)',
    `registrations` UInt64 COMMENT 'Registrations that this sums up',
    `tickets` UInt64 COMMENT 'Tickets that they asked for',
    `amount_minor` Int64 COMMENT 'What the attendees pay for them',
    `cancelled_tickets` UInt64 COMMENT 'Tickets of lines that were cancelled after they were confirmed',
    `cancelled_minor` Int64 COMMENT 'What was paid for those lines',
    `source` LowCardinality(String) COMMENT 'The state of the month of registrations that this was computed of',
    `as_of` DateTime64(3, 'UTC') COMMENT 'Newest record that was loaded when the month was computed; it has not changed since' CODEC(Delta(8), LZ4),
    INDEX decided decided_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(requested_at)
ORDER BY (requested_at, event_id, outcome)
SETTINGS index_granularity = 8192
COMMENT 'Registrations by quarter-hour and outcome; exact as of rollup_refreshes, read without FINAL';

CREATE TABLE rollup_refreshes
(
    `rollup` LowCardinality(String) COMMENT 'The rollup: a table',
    `as_of` DateTime64(3, 'UTC') COMMENT 'Everything up to here is in it: the newest record in the audit trail when the refresh began',
    `refreshed_at` DateTime64(3, 'UTC') COMMENT 'When the refresh was complete',
    `recomputed` UInt32 COMMENT 'Months that it recomputed'
)
ENGINE = ReplacingMergeTree(refreshed_at)
ORDER BY rollup
SETTINGS index_granularity = 8192
COMMENT 'As of when each rollup is exact, last refresh wins; read with FINAL';

CREATE TABLE paid_orders
(
    `snapshot` UUID COMMENT 'The month and the moment that the row is of: paid_orders_snapshots',
    `registration_id` UUID COMMENT 'The registration' CODEC(NONE),
    `payment_id` UUID COMMENT 'The payment; zero when there is none' CODEC(NONE),
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `has_order` Bool COMMENT 'The registration is of this month',
    `has_payment` Bool COMMENT 'The payment is of this month; one half of an order lies in each of two snapshots when they were asked for in different months',
    `stands` Bool COMMENT 'The order was confirmed, whatever became of it later',
    `outcome` LowCardinality(String) COMMENT 'The registration\'s outcome',
    `reason` LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    `imported` Bool COMMENT 'Brought in from another system',
    `total_minor` Int64 COMMENT 'What the attendee pays for all lines' CODEC(T64, LZ4),
    `cancelled_minor` Int64 COMMENT 'What of it is for lines that were cancelled' CODEC(T64, LZ4),
    `decided_at` DateTime64(3, 'UTC') COMMENT 'When the outcome was decided' CODEC(T64, LZ4),
    `cancelled_at` DateTime64(3, 'UTC') COMMENT 'When it was cancelled as a whole after being confirmed' CODEC(T64, LZ4),
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version of the registration came about' CODEC(T64, LZ4),
    `captured_minor` Int64 COMMENT 'What was captured' CODEC(T64, LZ4),
    `captured_at` DateTime64(3, 'UTC') COMMENT 'The provider\'s time of it' CODEC(T64, LZ4),
    `booked_at` DateTime64(3, 'UTC') COMMENT 'When it became known here' CODEC(T64, LZ4),
    `refund_amounts` Array(Int64) COMMENT 'What each refund gives back',
    `refund_statuses` Array(LowCardinality(String)) COMMENT 'pending, done, parked',
    `refunds_requested_at` Array(DateTime64(3, 'UTC')) COMMENT 'When it was asked for',
    `refunds_refunded_at` Array(DateTime64(3, 'UTC')) COMMENT 'The provider\'s time of it',
    `refunds_booked_at` Array(DateTime64(3, 'UTC')) COMMENT 'When it became known here',
    `opens_at` DateTime64(3, 'UTC') COMMENT 'Before it the order has no part in any balance' CODEC(T64, LZ4),
    `quiet_at` DateTime64(3, 'UTC') COMMENT 'After it the order has no part in any balance; 2262 while something of it is open' CODEC(T64, LZ4)
)
ENGINE = MergeTree
PARTITION BY snapshot
ORDER BY (has_order AND has_payment, quiet_at)
SETTINGS index_granularity = 8192
COMMENT 'Orders that were confirmed or paid for beside their money, month by month as they were at a moment; what has changed since is taken from registrations and payments';

CREATE TABLE paid_orders_snapshots
(
    `month` UInt32 COMMENT 'Month in which the orders were requested, or their payments',
    `snapshot` UUID COMMENT 'The rows of it in paid_orders',
    `tables` String COMMENT 'Ids of the tables that it was made of',
    `parts` Array(String) COMMENT 'Parts of the month that were certainly read: rows in any other may be newer',
    `orders` UInt64 COMMENT 'Rows of it',
    `made_at` DateTime64(3, 'UTC') COMMENT 'When it was complete',
    `counts_from` DateTime64(3, 'UTC') COMMENT 'When readers may use it: a query that was under way when it was made may not see its rows'
)
ENGINE = ReplacingMergeTree(made_at)
ORDER BY month
SETTINGS index_granularity = 8192
COMMENT 'What stands in paid_orders. The newest of a month stands as long as all its parts and rows are there; an order is taken from it when no part that is not listed has a row of it';

CREATE VIEW registration_lines
(
    `registration_id` UUID COMMENT 'The registration',
    `line` UInt32 COMMENT 'Number of the line within it, from 1',
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `attendee_id` UUID COMMENT 'The attendee, pseudonymous',
    `step` LowCardinality(String) COMMENT 'Where the saga stands',
    `outcome` LowCardinality(String) COMMENT 'The registration\'s outcome; unspecified while open',
    `reason` LowCardinality(String) COMMENT 'Why the outcome is what it is: a stable code',
    `settled` Bool COMMENT 'Nothing is outstanding',
    `ticket_type` LowCardinality(String) COMMENT 'The line\'s ticket type',
    `quantity` UInt32 COMMENT 'Tickets of the line',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `unit_price_minor` Int64 COMMENT 'Price of one ticket',
    `tax_rate_bp` UInt32 COMMENT 'Tax rate in basis points: 1900 is 19 %',
    `tax_mode` LowCardinality(String) COMMENT 'included, on_top, exempt',
    `discount_minor` Int64 COMMENT 'Discount of the line',
    `tax_minor` Int64 COMMENT 'Tax of the line, rounded once',
    `total_minor` Int64 COMMENT 'What the attendee pays for the line',
    `cancelled` Bool COMMENT 'Cancelled after it was confirmed',
    `payment_id` UUID COMMENT 'The payment; zero when the order is free or was never charged',
    `payment_method` LowCardinality(String) COMMENT 'The payment method at the provider',
    `channel` LowCardinality(String) COMMENT 'Where it was sold',
    `region` LowCardinality(String) COMMENT 'The region that accepted it',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `request_time` DateTime64(3, 'UTC') COMMENT 'When the request was accepted',
    `held_at` DateTime64(3, 'UTC') COMMENT 'When it had all its seats',
    `decided_at` DateTime64(3, 'UTC') COMMENT 'When the outcome was decided',
    `cancelled_at` DateTime64(3, 'UTC') COMMENT 'When it was cancelled after being confirmed',
    `changed_at` DateTime64(3, 'UTC') COMMENT 'When this version came about',
    `version` UInt64 COMMENT 'Version of the registration'
)
COMMENT 'One row a line of every registration with its last version, exact at read; every column is the registration\'s own unless it says otherwise'
AS SELECT
    registration_id,
    line,
    event_id,
    organiser,
    attendee_id,
    step,
    outcome,
    reason,
    settled,
    ticket_type,
    quantity,
    currency,
    unit_price_minor,
    tax_rate_bp,
    tax_mode,
    discount_minor,
    tax_minor,
    line_total_minor AS total_minor,
    cancelled,
    payment_id,
    payment_method,
    channel,
    region,
    test_mode,
    imported,
    request_time,
    held_at,
    decided_at,
    cancelled_at,
    changed_at,
    version
FROM registrations
FINAL
ARRAY JOIN
    lines.line AS line,
    lines.ticket_type AS ticket_type,
    lines.quantity AS quantity,
    lines.unit_price_minor AS unit_price_minor,
    lines.tax_rate_bp AS tax_rate_bp,
    lines.tax_mode AS tax_mode,
    lines.discount_minor AS discount_minor,
    lines.tax_minor AS tax_minor,
    lines.total_minor AS line_total_minor,
    lines.cancelled AS cancelled;

CREATE VIEW refunds
(
    `refund_id` UUID COMMENT 'The refund',
    `payment_id` UUID COMMENT 'The payment that it gives back',
    `registration_id` UUID COMMENT 'The registration',
    `event_id` UUID COMMENT 'The event',
    `organiser` LowCardinality(String) COMMENT 'The organiser\'s id',
    `currency` LowCardinality(String) COMMENT 'ISO 4217',
    `line` UInt32 COMMENT 'The line that it gives back whole; 0 for all that no earlier one gives back',
    `amount_minor` Int64 COMMENT 'What it gives back',
    `status` LowCardinality(String) COMMENT 'pending, done, parked',
    `reason` LowCardinality(String) COMMENT 'Why the money goes back; once parked, why a person must look',
    `provider` LowCardinality(String) COMMENT 'The payment provider; empty in older records',
    `method` LowCardinality(String) COMMENT 'The payment method at the provider',
    `channel` LowCardinality(String) COMMENT 'Where it was sold; empty in older records',
    `region` LowCardinality(String) COMMENT 'The region that accepted the order; empty in older records',
    `provider_reference` String COMMENT 'The refund at the provider',
    `test_mode` Bool COMMENT 'No real money; reports leave it out',
    `imported` Bool COMMENT 'Brought in from another system',
    `requested_at` DateTime64(3, 'UTC') COMMENT 'When it was asked for',
    `refunded_at` DateTime64(3, 'UTC') COMMENT 'The provider\'s time: the day of the money (I4)',
    `booked_at` DateTime64(3, 'UTC') COMMENT 'When it became known here: the day of the books',
    `version` UInt64 COMMENT 'Version of the payment'
)
COMMENT 'One row a refund of every payment with its last version, exact at read; pending and parked ones included'
AS SELECT
    refund_id,
    payment_id,
    registration_id,
    event_id,
    organiser,
    currency,
    line,
    refund_minor AS amount_minor,
    refund_status AS status,
    reason,
    provider,
    method,
    channel,
    region,
    refund_reference AS provider_reference,
    test_mode,
    imported,
    refund_requested_at AS requested_at,
    refunded_at,
    refund_booked_at AS booked_at,
    version
FROM payments
FINAL
ARRAY JOIN
    refunds.refund_id AS refund_id,
    refunds.line AS line,
    refunds.amount_minor AS refund_minor,
    refunds.status AS refund_status,
    refunds.reason AS reason,
    refunds.provider_reference AS refund_reference,
    refunds.requested_at AS refund_requested_at,
    refunds.refunded_at AS refunded_at,
    refunds.booked_at AS refund_booked_at;

