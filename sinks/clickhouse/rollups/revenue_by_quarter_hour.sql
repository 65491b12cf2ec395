SELECT
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(m.occurred_at), 900000) * 900000, 'UTC') AS occurred_at,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(m.booked_at), 900000) * 900000, 'UTC')   AS booked_at,
    event_id,
    organiser,
    currency,
    test_mode,
    imported,
    provider,
    method,
    channel,
    region,
    ticket_type,
    unit_price_minor,
    tax_rate_bp,
    tax_mode,
    kind,
    sum(m.amount_minor)   AS amount_minor,
    sum(m.discount_minor) AS discount_minor,
    sum(m.tax_minor)      AS tax_minor,
    sum(m.fee_minor)      AS fee_minor,
    sum(m.quantity)       AS quantity,
    count()               AS movements
FROM movements AS m FINAL
WHERE toYYYYMM(m.occurred_at) = {month:UInt32}
GROUP BY occurred_at, booked_at, event_id, organiser, currency, test_mode, imported, provider, method, channel, region, ticket_type,
    unit_price_minor, tax_rate_bp, tax_mode, kind
