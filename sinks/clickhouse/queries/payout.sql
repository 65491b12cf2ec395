-- What is due to organisers for a period, by event and currency: from is inside, to
-- is outside. Money belongs to the period in which it was booked, so a period that
-- is over is never restated. month is empty for money that moved at the provider in
-- the period too; for money that moved before it and was booked in it, a
-- correction, it is the month of the time zone in which it moved. gross was
-- captured, refunds were given back, fees are what the provider keeps; tax is that
-- within gross minus that within refunds and is the organiser's to pay; payable =
-- gross - refunds - fees.
SELECT
    sums.organiser                        AS organiser,
    sums.event_id                         AS event_id,
    catalog.name                          AS event,
    sums.currency                         AS currency,
    sums.month                            AS month,
    sums.gross                            AS gross_minor,
    sums.refunds                          AS refunds_minor,
    sums.fees                             AS fees_minor,
    sums.tax                              AS tax_minor,
    sums.gross - sums.refunds - sums.fees AS payable_minor
FROM
(
    SELECT
        organiser,
        event_id,
        currency,
        if(occurred_at < {from:DateTime64(3)}, formatDateTime(occurred_at, '%Y-%m', {zone:String}), '') AS month,
        sumIf(amount_minor, kind = 'charge') AS gross,
        sumIf(amount_minor, kind = 'refund') AS refunds,
        sumIf(fee_minor, kind = 'charge')    AS fees,
        sum(if(kind = 'charge', tax_minor, -tax_minor)) AS tax
    FROM movements FINAL
    WHERE booked_at >= {from:DateTime64(3)} AND booked_at < {to:DateTime64(3)}
      AND {{template "scope"}}
    GROUP BY organiser, event_id, currency, month
) AS sums
LEFT JOIN (SELECT event_id, name FROM catalog_events FINAL) AS catalog ON catalog.event_id = sums.event_id
ORDER BY organiser, month, currency, event, event_id
SETTINGS {{template "final"}}
