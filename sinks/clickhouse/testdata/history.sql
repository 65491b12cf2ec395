-- A piece of two years of 100 million orders, for benchmarks: an event of 500,000 orders
-- begins every 3.65 days; three of five of its orders come in the first two hours,
-- the others over 90 days. Nine of ten orders were paid, one in five has two lines,
-- one in twenty is given back twenty days later. Each registration and payment is
-- there in its last two versions, until parts are merged.
CREATE TABLE made ENGINE = MergeTree ORDER BY number AS
SELECT
    number,
    toUUID(UUIDNumToString(sipHash128(number)))                                              AS registration,
    toUUID(UUIDNumToString(sipHash128(number, 'payment')))                                   AS payment,
    intDiv(number, 500000)                                                                   AS begun,
    toUUID(UUIDNumToString(sipHash128(begun, 'event')))                                      AS event,
    toUUID(UUIDNumToString(sipHash128(number, 'attendee')))                                  AS attendee,
    ['web', 'box_office', 'partner'][1 + intHash64(number + 1) % 3]                          AS channel,
    ['eu', 'us'][1 + intHash64(number + 2) % 2]                                              AS region,
    ['card', 'sepa', 'wallet'][1 + intHash64(number + 3) % 3]                                AS method,
    intHash64(number + 4) % if(intHash64(number + 7) % 5 < 3, 7200000, 7776000000)           AS later,
    fromUnixTimestamp64Milli(toInt64(1720000000000 + begun * 315360000 + later), 'UTC')      AS at,
    toUInt32(1 + intHash64(number + 5) % 4)                                                  AS tickets,
    1 + intHash64(number + 6) % 4                                                            AS nth,
    ['standard', 'premium', 'student', 'vip'][nth]                                           AS type,
    toInt64([4900, 12900, 2900, 49900][nth])                                                 AS price,
    tickets * price                                                                          AS total,
    intDiv(total * 19, 119)                                                                  AS tax,
    25 + intDiv(total * 14, 1000)                                                            AS fee,
    concat('ch_', lower(hex(sipHash128(number, 'reference'))))                               AS reference
FROM numbers({orders});

INSERT INTO movements (movement_id, line, kind, payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, ticket_type,
    tax_mode, unit_price_minor, tax_rate_bp, quantity, amount_minor, tax_minor, fee_minor, occurred_at, booked_at, provider_reference, version, topic, partition, offset)
SELECT payment, 1, 'charge', payment, registration, event, 'acme', 'EUR', 'simulated', method, channel, region, type,
    'included', price, 1900, tickets, total, tax, fee, at + INTERVAL 100 MILLISECOND, at + INTERVAL 180 MILLISECOND, reference, 3, 'payment-events', number % 32, intDiv(number * 3, 32)
FROM made WHERE number % 10 != 0 SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO movements (movement_id, line, kind, payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, ticket_type,
    tax_mode, unit_price_minor, tax_rate_bp, quantity, amount_minor, tax_minor, fee_minor, occurred_at, booked_at, provider_reference, version, topic, partition, offset)
SELECT payment, 2, 'charge', payment, registration, event, 'acme', 'EUR', 'simulated', method, channel, region, 'parking',
    'included', 1500, 1900, 1, 1500, 239, 0, at + INTERVAL 100 MILLISECOND, at + INTERVAL 180 MILLISECOND, reference, 3, 'payment-events', number % 32, intDiv(number * 3, 32)
FROM made WHERE number % 5 = 1 SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO movements (movement_id, line, kind, payment_id, registration_id, event_id, organiser, currency, provider, method, channel, region, ticket_type,
    tax_mode, unit_price_minor, tax_rate_bp, quantity, amount_minor, tax_minor, occurred_at, booked_at, provider_reference, version, topic, partition, offset)
SELECT toUUID(UUIDNumToString(sipHash128(number, 'refund'))), 1, 'refund', payment, registration, event, 'acme', 'EUR', 'simulated', method, channel, region, type,
    'included', price, 1900, tickets, total, tax, at + INTERVAL 20 DAY, at + INTERVAL 20 DAY, concat('re_', reference), 3, 'payment-events', number % 32, intDiv(number * 3, 32)
FROM made WHERE number % 20 = 3 SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO payments (payment_id, registration_id, event_id, organiser, status, currency, amount_minor, method, provider, provider_reference, captured_minor,
    fee_minor, channel, region, requested_at, captured_at, booked_at, changed_at, version, topic, partition, offset)
SELECT payment, registration, event, 'acme', 'captured', 'EUR', total, method, 'simulated', reference, total,
    fee, channel, region, at, at + INTERVAL 100 MILLISECOND, at + INTERVAL 180 MILLISECOND, at + INTERVAL 180 MILLISECOND, v, 'payment-events', number % 32, intDiv(number * 3, 32)
FROM made ARRAY JOIN [2, 3] AS v WHERE number % 10 != 0 SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO registrations (registration_id, event_id, organiser, attendee_id, step, outcome, settled, currency, total_minor, lines.line, lines.ticket_type,
    lines.quantity, lines.unit_price_minor, lines.tax_rate_bp, lines.tax_mode, lines.discount_minor, lines.tax_minor, lines.total_minor, lines.cancelled, payment_id,
    payment_method, channel, region, event_version, request_time, held_at, decided_at, settled_at, changed_at, version, topic, partition, offset)
SELECT registration, event, 'acme', attendee, 'settled', if(number % 10 = 0, 'expired', 'confirmed'), true, 'EUR', total, [1], [type],
    [tickets], [price], [1900], ['included'], [0], [tax], [total], [false], payment,
    method, channel, region, 3, at, at + INTERVAL 40 MILLISECOND, at + INTERVAL 150 MILLISECOND, at + INTERVAL 190 MILLISECOND, at + INTERVAL 190 MILLISECOND, v,
    'registration-events', number % 32, intDiv(number * 4, 32)
FROM made ARRAY JOIN [4, 5] AS v SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO events (topic, partition, offset, time, key, kind, version)
SELECT ['registration-events', 'payment-events', 'seat-events'][v], number % 32, intDiv(number * 4, 32), at, registration, ['confirmed', 'captured', 'sold'][v], 3
FROM made ARRAY JOIN [1, 2, 3] AS v SETTINGS max_partitions_per_insert_block = 0;

DROP TABLE made SYNC;
