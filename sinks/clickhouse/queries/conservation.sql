-- The conservation of orders and money, minute by minute (UTC), of a period: from is
-- inside, to is outside. Each kind compares two tables that know the same thing:
-- expected is what the first says, found what the second does, and difference sums up
-- what is missing or too much by key, so that two mistakes do not cancel out. It is 0
-- unless rows were lost or altered. registrations and payments: keys that the audit
-- trail has seen, and those of them with that version in their table. decisions:
-- registrations that were accepted decide_within seconds before the period, and those
-- of them that are decided. orders: what confirmed orders cost, and what was captured
-- for them (I3). charges and refunds: money that payments moved, and the journal's rows
-- of it (I4). Counts have no currency. Test sales are included. Of each key every
-- version that is there is looked at, instead of FINAL, which would read the whole table.
WITH
    seen AS
    (
        SELECT topic, key, max(version) AS last, toStartOfMinute(min(time)) AS minute
        FROM events
        WHERE topic IN ('registration-events', 'payment-events') AND version > 0
          AND time >= {from:DateTime64(3)} AND time < {to:DateTime64(3)}
        GROUP BY topic, key
    ),
    orders AS
    (
        SELECT registration_id, any(currency) AS currency, max(total_minor) AS total, toStartOfMinute(max(decided_at)) AS minute
        FROM registrations
        WHERE decided_at >= {from:DateTime64(3)} AND decided_at < {to:DateTime64(3)}
          AND (outcome = 'confirmed' OR cancelled_at > toDateTime64(0, 3)) AND total_minor != 0 AND NOT imported
        GROUP BY registration_id
    )
SELECT minute, kind, currency, sum(wanted) AS expected, sum(got) AS found, sum(apart) AS difference
FROM
(
    SELECT
        minute, if(topic = 'payment-events', 'payments', 'registrations') AS kind, '' AS currency,
        toInt64(1) AS wanted, toInt64(loaded.last >= seen.last) AS got, wanted - got AS apart
    FROM seen
    LEFT JOIN
    (
        SELECT 'registration-events' AS topic, registration_id AS key, max(version) AS last
        FROM registrations
        WHERE changed_at >= {from:DateTime64(3)} - INTERVAL 1 DAY
          AND registration_id GLOBAL IN (SELECT key FROM seen WHERE topic = 'registration-events')
        GROUP BY registration_id
        UNION ALL
        SELECT 'payment-events' AS topic, registration_id AS key, max(version) AS last
        FROM payments
        WHERE changed_at >= {from:DateTime64(3)} - INTERVAL 1 DAY
          AND registration_id GLOBAL IN (SELECT key FROM seen WHERE topic = 'payment-events')
        GROUP BY registration_id
    ) AS loaded USING (topic, key)
    UNION ALL
    SELECT toStartOfMinute(any(request_time)), 'decisions', '', toInt64(1) AS wanted, toInt64(max(outcome != 'unspecified')) AS got, wanted - got
    FROM registrations
    WHERE request_time >= {from:DateTime64(3)} - toIntervalSecond({decide_within:UInt32})
      AND request_time < {to:DateTime64(3)} - toIntervalSecond({decide_within:UInt32})
    GROUP BY registration_id
    UNION ALL
    SELECT max(minute), 'orders', max(currency), max(total) AS wanted, max(captured) AS got, greatest(wanted - got, 0)
    FROM
    (
        SELECT registration_id, minute, currency, total, toInt64(0) AS captured FROM orders
        UNION ALL
        SELECT registration_id, toDateTime(0, 'UTC'), '', 0, max(captured_minor)
        FROM payments
        WHERE captured_at >= {from:DateTime64(3)} - INTERVAL 1 DAY AND registration_id GLOBAL IN (SELECT registration_id FROM orders)
        GROUP BY registration_id
    )
    GROUP BY registration_id
    UNION ALL
    SELECT max(minute), if(movement = 'charge', 'charges', 'refunds'), currency, sum(paid) AS wanted, sum(journal) AS got, toInt64(abs(wanted - got))
    FROM
    (
        SELECT payment_id AS id, 'charge' AS movement, any(currency) AS currency, toStartOfMinute(any(captured_at)) AS minute,
            any(captured_minor) AS paid, toInt64(0) AS journal
        FROM payments
        WHERE captured_at >= {from:DateTime64(3)} AND captured_at < {to:DateTime64(3)} AND captured_minor != 0
        GROUP BY payment_id
        UNION ALL
        SELECT refund_id, 'refund', any(currency), toStartOfMinute(any(at)), any(amount), 0
        FROM
        (
            SELECT currency, refunds.refund_id AS ids, refunds.amount_minor AS amounts, refunds.status AS statuses, refunds.refunded_at AS times
            FROM payments
            WHERE arrayExists(t -> t >= {from:DateTime64(3)} AND t < {to:DateTime64(3)}, refunds.refunded_at)
        )
        ARRAY JOIN ids AS refund_id, amounts AS amount, statuses AS status, times AS at
        WHERE status = 'done' AND at >= {from:DateTime64(3)} AND at < {to:DateTime64(3)}
        GROUP BY refund_id
        UNION ALL
        SELECT movement_id, any(kind), any(currency), toStartOfMinute(any(occurred_at)), 0, any(amount_minor)
        FROM movements
        WHERE occurred_at >= {from:DateTime64(3)} AND occurred_at < {to:DateTime64(3)}
        GROUP BY movement_id, line
    )
    GROUP BY id, movement, currency
)
GROUP BY minute, kind, currency
ORDER BY minute, kind, currency
