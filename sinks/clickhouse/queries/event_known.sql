-- Whether an event is known: it is in the catalogue, or was ordered for. Another
-- organiser's is not, unless organiser is 'all'.
SELECT count() > 0 AS known
FROM
(
    SELECT event_id
    FROM catalog_events FINAL
    WHERE event_id = toUUIDOrZero({event:String}) AND ({organiser:String} = 'all' OR organiser = {organiser:String})
    UNION ALL
    SELECT event_id
    FROM registrations FINAL
    WHERE event_id = toUUIDOrZero({event:String}) AND ({organiser:String} = 'all' OR organiser = {organiser:String})
)
