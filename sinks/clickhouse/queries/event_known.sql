-- Whether an event is known: it is in the catalogue, or was ordered for.
SELECT count() > 0 AS known
FROM
(
    SELECT event_id
    FROM catalog_events FINAL
    WHERE event_id = toUUIDOrZero({event:String})
    UNION ALL
    SELECT event_id
    FROM registrations FINAL
    WHERE event_id = toUUIDOrZero({event:String})
)
