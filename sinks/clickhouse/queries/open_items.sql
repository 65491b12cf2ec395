-- The roll-forward of money that is neither earned nor given back, by currency, of
-- a period: from is inside, to is outside. Two sources must agree: charged and
-- refunded come from the journal of movements; confirmed (money of orders when they
-- are confirmed), cancelled (money of lines that are cancelled after that) and the
-- balances pending_start and pending_end come from the states of registrations and
-- payments: what had been captured and not given back, at that moment, of orders or
-- lines that did not stand. rolled = pending_start + charged - confirmed + cancelled
-- - refunded must be pending_end. The date of money is the day of its booking, or with
-- the basis 'occurred' the provider's. A confirmation counts when the money is
-- there at the earliest, a cancellation when its refund was asked for, so that
-- clocks that differ open no gap. Of what was cancelled before it was imported only
-- what went back counts: the rest was kept there. A currency in which nothing moved and nothing is open has no row.
SELECT
    currency,
    sum(pending_start) AS pending_start_minor,
    sum(charged)       AS charged_minor,
    sum(confirmed)     AS confirmed_minor,
    sum(cancelled)     AS cancelled_minor,
    sum(refunded)      AS refunded_minor,
    pending_start_minor + charged_minor - confirmed_minor + cancelled_minor - refunded_minor AS rolled_minor,
    sum(pending_end)   AS pending_end_minor,
    rolled_minor - pending_end_minor AS difference_minor
FROM
(
    SELECT
        toString(currency) AS currency,
        toInt64(0)         AS pending_start,
        if(kind = 'charge', amount_minor, 0) AS charged,
        toInt64(0)         AS confirmed,
        toInt64(0)         AS cancelled,
        if(kind = 'refund', amount_minor, 0) AS refunded,
        toInt64(0)         AS pending_end
    FROM movements FINAL
    WHERE {{template "moved"}}
      AND {{template "scope"}}
    UNION ALL
    SELECT
        currency,
        if(stands AND confirmed_at < {from:DateTime64(3)}, greatest(0, gone_start - back_start),
            if(taken_at < {from:DateTime64(3)}, taken, 0) - back_start) AS pending_start,
        toInt64(0) AS charged,
        if(stands AND confirmed_at >= {from:DateTime64(3)} AND confirmed_at < {to:DateTime64(3)}, total, 0) AS confirmed,
        if(stands, gone_end - gone_start, 0) AS cancelled,
        toInt64(0) AS refunded,
        if(stands AND confirmed_at < {to:DateTime64(3)}, greatest(0, gone_end - back_end),
            if(taken_at < {to:DateTime64(3)}, taken, 0) - back_end) AS pending_end
    FROM
    (
        SELECT
            currency,
            stands,
            total,
            taken,
            taken_at,
            confirmed_at,
            {{template "gone_by" "from"}} AS gone_start,
            {{template "gone_by" "to"}} AS gone_end,
            {{template "back_by" "from"}} AS back_start,
            {{template "back_by" "to"}} AS back_end
        FROM
        (
            {{template "counted_orders" "from"}}
        )
    )
)
GROUP BY currency
HAVING pending_start_minor != 0 OR charged_minor != 0 OR confirmed_minor != 0 OR cancelled_minor != 0 OR refunded_minor != 0 OR pending_end_minor != 0
ORDER BY currency
SETTINGS {{template "paid_orders_settings"}},
    {{template "final"}}
