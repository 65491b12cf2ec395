-- Revenue per event, ticket type, price, tax rate and currency of a period: from is
-- inside, to is outside. The date of money is the day of its booking, or with the
-- basis 'occurred' the provider's. tickets were confirmed in the period, whatever
-- became of them later. gross was captured for them, discounts were taken off
-- their prices, refunds were given back; tax is that within gross minus that within
-- refunds, rounded once per line of an order, and the tax of a refund is its
-- line's; net of tax = gross - refunds - tax. The provider's fees are of whole
-- payments, hence in no line.
SELECT
    sums.event_id                        AS event_id,
    catalog.name                         AS event,
    sums.ticket_type                     AS ticket_type,
    sums.currency                        AS currency,
    sums.price                           AS unit_price_minor,
    toInt64(sums.rate)                   AS tax_rate_bp,
    sums.mode                            AS tax_mode,
    sums.tickets                         AS tickets,
    sums.gross                           AS gross_minor,
    sums.discounts                       AS discounts_minor,
    sums.refunds                         AS refunds_minor,
    sums.tax                             AS tax_minor,
    sums.gross - sums.refunds - sums.tax AS net_of_tax_minor
FROM
(
    SELECT
        event_id,
        currency,
        ticket_type,
        price,
        rate,
        mode,
        sum(tickets)   AS tickets,
        sum(gross)     AS gross,
        sum(discounts) AS discounts,
        sum(refunds)   AS refunds,
        sum(tax)       AS tax
    FROM
    (
        SELECT
            event_id,
            toString(m.currency)    AS currency,
            toString(m.ticket_type) AS ticket_type,
            unit_price_minor        AS price,
            tax_rate_bp             AS rate,
            toString(tax_mode)      AS mode,
            toInt64(0)              AS tickets,
            sumIf(amount_minor, kind = 'charge')            AS gross,
            sumIf(discount_minor, kind = 'charge')          AS discounts,
            sumIf(amount_minor, kind = 'refund')            AS refunds,
            sum(if(kind = 'charge', tax_minor, -tax_minor)) AS tax
        FROM movements AS m FINAL
        WHERE {{template "moved"}}
          AND {{template "scope"}}
        GROUP BY event_id, m.currency, m.ticket_type, unit_price_minor, tax_rate_bp, tax_mode
        UNION ALL
        SELECT
            event_id,
            toString(of.currency)    AS currency,
            toString(type)           AS ticket_type,
            price,
            rate,
            toString(how)            AS mode,
            toInt64(sum(quantity))   AS tickets,
            toInt64(0)               AS gross,
            toInt64(0)               AS discounts,
            toInt64(0)               AS refunds,
            toInt64(0)               AS tax
        FROM
        (
            SELECT
                event_id,
                currency,
                lines.ticket_type      AS types,
                lines.unit_price_minor AS prices,
                lines.tax_rate_bp      AS rates,
                lines.tax_mode         AS modes,
                lines.quantity         AS quantities
            FROM registrations FINAL
            WHERE {{template "stands"}}
              AND decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
              AND {{template "scope"}}
        ) AS of
        ARRAY JOIN types AS type, prices AS price, rates AS rate, modes AS how, quantities AS quantity
        GROUP BY event_id, of.currency, type, price, rate, how
    )
    GROUP BY event_id, currency, ticket_type, price, rate, mode
) AS sums
LEFT JOIN (SELECT event_id, name FROM catalog_events FINAL) AS catalog ON catalog.event_id = sums.event_id
ORDER BY currency, event, event_id, ticket_type, unit_price_minor, tax_rate_bp, tax_mode
SETTINGS {{template "final"}}
