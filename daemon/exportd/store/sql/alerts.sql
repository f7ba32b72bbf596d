-- Alerts from their first cry to their last word. Parameters are %(name)s, always.

-- add_alert --
-- What is open already is seen once more, and not told again.
INSERT INTO alerts (fingerprint, kind, severity, title, body, memory_dir, conversation_id,
                    export_id, details, untold)
VALUES (%(fingerprint)s, %(kind)s, %(severity)s, replace(%(kind)s, '_', ' '), %(body)s,
        %(memory_dir)s, %(conversation_id)s, %(export_id)s, %(details)s, 'firing')
ON CONFLICT (fingerprint) WHERE state <> 'resolved'
DO UPDATE SET occurrences = alerts.occurrences + 1, last_seen_at = CURRENT_TIMESTAMP,
              body = EXCLUDED.body;

-- resolve_alert --
-- What nobody was told of yet is told with its end, in one go.
UPDATE alerts
SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP, resolution = %(resolution)s,
    untold = coalesce(untold, 'resolved')
WHERE fingerprint = %(fingerprint)s AND state <> 'resolved';

-- resolve_filled_gaps --
-- A gap in which something stands now is over; what is still missing is a gap of its own.
WITH filled AS (
    SELECT a.alert_id, (a.details ->> 'to')::bigint - (a.details ->> 'from')::bigint + 1 AS missing,
           (SELECT count(DISTINCT m.source_index) FROM messages m
            WHERE m.conversation_id = a.conversation_id AND m.segment_id = %(segment_id)s
              AND m.source_index BETWEEN (a.details ->> 'from')::bigint
                                     AND (a.details ->> 'to')::bigint) AS found
    FROM alerts a
    WHERE a.kind = 'index_gap' AND a.conversation_id = %(conversation_id)s
      AND a.state <> 'resolved' AND (a.details ->> 'segment_id')::bigint = %(segment_id)s
)
UPDATE alerts a
SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP, untold = coalesce(a.untold, 'resolved'),
    resolution = CASE WHEN f.found >= f.missing
        THEN %(name)s || ' has the missing messages'
        ELSE %(name)s || ' has ' || f.found || ' of the ' || f.missing
             || ' missing messages; the rest is told apart' END
FROM filled f
WHERE a.alert_id = f.alert_id AND f.found > 0;

-- resolve_found_parents --
UPDATE alerts a
SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP, untold = coalesce(a.untold, 'resolved'),
    resolution = %(name)s || ' has the missing message'
WHERE a.kind = 'dangling_parent' AND a.conversation_id = %(conversation_id)s
  AND a.state <> 'resolved' AND (a.details ->> 'segment_id')::bigint = %(segment_id)s
  AND EXISTS (SELECT FROM messages m WHERE m.conversation_id = a.conversation_id
                                       AND m.source_id = a.details ->> 'parent_id');

-- untold_alerts --
SELECT alert_id, kind, severity, conversation_id, state, untold, tell_at IS NOT NULL
FROM alerts
WHERE untold IS NOT NULL AND memory_dir = %(memory_dir)s
  AND (tell_at IS NULL OR tell_at <= CURRENT_TIMESTAMP OR state = 'resolved')
ORDER BY alert_id
LIMIT 5000
FOR UPDATE SKIP LOCKED;

-- route_untold --
-- What fires and nobody was told of: there was no channel that takes it.
UPDATE alerts SET untold = 'firing'
WHERE state = 'firing' AND untold IS NULL AND severity <> 'info' AND memory_dir = %(memory_dir)s
  AND NOT EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_id = alerts.alert_id);

-- firing_kinds --
SELECT DISTINCT kind FROM alerts WHERE state <> 'resolved' AND memory_dir = %(memory_dir)s;

-- silences --
SELECT kind, conversation_id, until FROM alert_silences
WHERE until > CURRENT_TIMESTAMP AND (memory_dir IS NULL OR memory_dir = %(memory_dir)s);

-- deliver --
INSERT INTO alert_deliveries (alert_id, channel, event)
SELECT * FROM unnest(%(alert_ids)s::bigint[], %(channels)s::text[], %(events)s::text[]);

-- deliver_resolved --
-- Where it was told that an alert fires, it is told that it is over. Where it waits to be told,
-- it is told with its end.
INSERT INTO alert_deliveries (alert_id, channel, event)
SELECT DISTINCT d.alert_id, d.channel, 'resolved' FROM alert_deliveries d
WHERE d.alert_id = ANY(%(alert_ids)s) AND d.event IN ('firing', 'escalated')
  AND d.state = 'sent';

-- routed --
UPDATE alerts SET untold = NULL, tell_at = NULL WHERE alert_id = ANY(%(alert_ids)s);

-- close_events --
-- What does not last is not for ever in the list of what is wrong; what was held back for long is
-- told first.
UPDATE alerts
SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP, resolution = 'told long ago'
WHERE state <> 'resolved' AND untold IS NULL AND memory_dir = %(memory_dir)s
  AND kind <> ALL(%(lasting)s) AND created_at < CURRENT_TIMESTAMP - %(interval)s::interval
  AND NOT EXISTS (SELECT FROM alert_deliveries d
                  WHERE d.alert_id = alerts.alert_id
                    AND (d.state IN ('waiting', 'assigned')
                         OR d.created_at > CURRENT_TIMESTAMP - %(interval)s::interval));

-- end_leases --
-- The process that had them is gone: one daemon at a time has a memory folder.
UPDATE alert_messages SET lease_until = CURRENT_TIMESTAMP
WHERE memory_dir = %(memory_dir)s AND state = 'sending';

-- hold_alerts --
UPDATE alerts SET tell_at = CURRENT_TIMESTAMP + interval '1 minute'
WHERE alert_id = ANY(%(alert_ids)s);

-- remind --
-- What lasts, is acknowledged by nobody, is not silenced, and was told last so long ago.
INSERT INTO alert_deliveries (alert_id, channel, event)
SELECT DISTINCT a.alert_id, d.channel, 'reminder'
FROM alerts a
JOIN alert_deliveries d USING (alert_id)
WHERE a.state = 'firing' AND a.untold IS NULL AND a.memory_dir = %(memory_dir)s
  AND a.kind = ANY(%(lasting)s) AND a.kind <> ALL(%(disabled)s)
  AND NOT EXISTS (SELECT FROM alert_silences s
                  WHERE s.until > CURRENT_TIMESTAMP
                    AND (s.memory_dir IS NULL OR s.memory_dir = a.memory_dir)
                    AND (s.kind IS NULL OR s.kind = a.kind)
                    AND (s.conversation_id IS NULL OR s.conversation_id = a.conversation_id))
  AND d.event IN ('firing', 'escalated') AND d.state = 'sent'
  AND NOT EXISTS (SELECT FROM alert_deliveries l
                  WHERE l.alert_id = a.alert_id AND l.channel = d.channel
                    AND l.created_at > CURRENT_TIMESTAMP - %(interval)s::interval);

-- to_escalate --
-- Such as nobody was told of, too.
SELECT a.alert_id, array_remove(array_agg(d.channel), NULL)
FROM alerts a
LEFT JOIN alert_deliveries d USING (alert_id)
WHERE a.state = 'firing' AND a.severity = 'critical' AND a.untold IS NULL
  AND a.memory_dir = %(memory_dir)s AND a.kind <> ALL(%(disabled)s)
  AND NOT EXISTS (SELECT FROM alert_silences s
                  WHERE s.until > CURRENT_TIMESTAMP
                    AND (s.memory_dir IS NULL OR s.memory_dir = a.memory_dir)
                    AND (s.kind IS NULL OR s.kind = a.kind)
                    AND (s.conversation_id IS NULL OR s.conversation_id = a.conversation_id))
GROUP BY a.alert_id
HAVING coalesce(max(d.created_at) FILTER (WHERE d.event IN ('firing', 'escalated')),
                a.created_at)
       < CURRENT_TIMESTAMP - %(interval)s::interval;

-- waiting_deliveries --
SELECT count(*), min(d.created_at), max(CASE a.severity WHEN 'critical' THEN 2
                                        WHEN 'warning' THEN 1 ELSE 0 END), CURRENT_TIMESTAMP
FROM alert_deliveries d
JOIN alerts a USING (alert_id)
WHERE d.channel = %(channel)s AND d.state = 'waiting' AND a.memory_dir = %(memory_dir)s
  AND NOT (%(no_info)s::bool AND a.severity = 'info');

-- last_messages --
SELECT created_at FROM alert_messages
WHERE memory_dir = %(memory_dir)s AND channel = %(channel)s
  AND created_at > CURRENT_TIMESTAMP - interval '1 hour'
ORDER BY created_at DESC
LIMIT 3;

-- take_waiting --
-- With the message that told of the alert first, in whose thread the rest belongs.
SELECT d.delivery_id, a.severity, a.kind, a.conversation_id,
       (SELECT coalesce(m.root_id, m.message_id) FROM alert_deliveries f
        JOIN alert_messages m USING (message_id)
        WHERE f.alert_id = d.alert_id AND f.channel = d.channel AND f.delivery_id < d.delivery_id
          AND m.state <> 'given_up'
        ORDER BY f.delivery_id LIMIT 1)
FROM alert_deliveries d
JOIN alerts a USING (alert_id)
WHERE d.channel = %(channel)s AND d.state = 'waiting' AND a.memory_dir = %(memory_dir)s
  AND NOT (%(no_info)s::bool AND a.severity = 'info')
ORDER BY d.delivery_id
FOR UPDATE OF d SKIP LOCKED;

-- open_thread --
-- The thread of a group that still has open alerts.
SELECT coalesce(m.root_id, m.message_id)
FROM alert_messages m
WHERE m.memory_dir = %(memory_dir)s AND m.channel = %(channel)s AND m.group_key = %(group_key)s
  AND m.state = 'sent' AND m.created_at > CURRENT_TIMESTAMP - interval '7 days'
  AND EXISTS (SELECT FROM alert_deliveries d JOIN alerts a USING (alert_id)
              WHERE d.message_id = m.message_id AND a.state <> 'resolved')
ORDER BY m.created_at DESC
LIMIT 1;

-- add_message --
-- One that was given up may have told something of it here: this one may be a repeat.
INSERT INTO alert_messages (message_id, memory_dir, channel, group_key, root_id, unclear_attempts)
SELECT %(message_id)s, %(memory_dir)s, %(channel)s, %(group_key)s, %(root_id)s,
       (EXISTS (SELECT FROM alert_deliveries d
                JOIN alert_deliveries b USING (alert_id, channel, event)
                JOIN alert_messages g ON g.message_id = b.message_id
                WHERE d.delivery_id = ANY(%(delivery_ids)s)
                  AND g.state = 'given_up' AND g.unclear_attempts > 0
                  AND NOT EXISTS (SELECT FROM alert_deliveries s
                                  WHERE s.alert_id = b.alert_id AND s.channel = b.channel
                                    AND s.event = b.event AND s.state = 'sent'
                                    AND s.delivery_id > b.delivery_id)))::int;

-- assign_deliveries --
UPDATE alert_deliveries SET state = 'assigned', message_id = %(message_id)s
WHERE delivery_id = ANY(%(delivery_ids)s);

-- lease_message --
-- Of an attempt whose lease ran out nobody knows how it ended.
WITH due AS (
    SELECT message_id, state = 'sending' AS is_unclear
    FROM alert_messages
    WHERE memory_dir = %(memory_dir)s AND channel = %(channel)s
      AND ((state = 'waiting' AND due_at <= CURRENT_TIMESTAMP)
           OR (state = 'sending' AND lease_until <= CURRENT_TIMESTAMP))
    ORDER BY due_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
UPDATE alert_messages m
SET state = 'sending', attempts = m.attempts + 1,
    unclear_attempts = m.unclear_attempts + due.is_unclear::int,
    lease_until = CURRENT_TIMESTAMP + %(lease)s::interval
FROM due
WHERE m.message_id = due.message_id
RETURNING m.message_id, m.group_key, m.attempts, m.unclear_attempts,
          (SELECT r.reference FROM alert_messages r WHERE r.message_id = m.root_id);

-- message_alerts --
-- Each alert once, with the newest that is to be told of it.
SELECT a.alert_id, a.kind, a.severity, a.body, a.created_at, d.event, a.conversation_id,
       a.resolution, a.resolved_at, a.occurrences, a.fingerprint
FROM (SELECT DISTINCT ON (alert_id) alert_id, delivery_id, event
      FROM alert_deliveries
      WHERE message_id = %(message_id)s
      ORDER BY alert_id, event = 'resolved' DESC, delivery_id DESC) d
JOIN alerts a USING (alert_id)
ORDER BY CASE a.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, d.delivery_id
LIMIT %(most)s;

-- message_kinds --
SELECT a.kind, count(DISTINCT a.alert_id)
FROM alert_deliveries d
JOIN alerts a USING (alert_id)
WHERE d.message_id = %(message_id)s
GROUP BY a.kind;

-- message_sent --
WITH delivered AS (
    UPDATE alert_deliveries SET state = 'sent'
    WHERE message_id = %(message_id)s AND state = 'assigned'
)
UPDATE alert_messages
SET state = 'sent', sent_at = CURRENT_TIMESTAMP, reference = %(reference)s::jsonb, error = NULL,
    lease_until = NULL
WHERE message_id = %(message_id)s;

-- message_postponed --
UPDATE alert_messages
SET state = 'waiting', due_at = CURRENT_TIMESTAMP + %(wait)s::interval, error = %(error)s,
    unclear_attempts = unclear_attempts + %(unclear)s, lease_until = NULL
WHERE message_id = %(message_id)s;

-- message_given_up --
-- Its deliveries wait again, for this channel or another; they keep which message may have told
-- them.
WITH released AS (
    UPDATE alert_deliveries SET state = 'waiting'
    WHERE message_id = %(message_id)s AND state = 'assigned'
)
UPDATE alert_messages
SET state = 'given_up', error = %(error)s, lease_until = NULL
WHERE message_id = %(message_id)s;

-- message_refused --
-- This channel will not take it: what it should have told is told elsewhere, or listed alone.
WITH released AS (
    UPDATE alert_deliveries SET state = 'refused'
    WHERE message_id = %(message_id)s AND state = 'assigned'
)
UPDATE alert_messages
SET state = 'given_up', error = %(error)s, lease_until = NULL
WHERE message_id = %(message_id)s;

-- overdue_messages --
SELECT message_id, error FROM alert_messages
WHERE memory_dir = %(memory_dir)s AND channel = %(channel)s AND state = 'waiting'
  AND attempts > 0 AND created_at < CURRENT_TIMESTAMP - %(patience)s::interval
FOR UPDATE SKIP LOCKED;

-- unfinished_messages --
SELECT message_id FROM alert_messages
WHERE memory_dir = %(memory_dir)s AND channel = %(channel)s
  AND (state = 'waiting' OR (state = 'sending' AND lease_until <= CURRENT_TIMESTAMP))
FOR UPDATE SKIP LOCKED;

-- unset_channels --
-- Such as are set no more, while something waits for them.
SELECT DISTINCT d.channel
FROM alert_deliveries d
JOIN alerts a USING (alert_id)
WHERE d.state IN ('waiting', 'assigned') AND a.memory_dir = %(memory_dir)s
  AND d.channel <> ALL(%(channels)s);

-- fail_over --
-- What one channel cannot tell another one does: of those that did not refuse it, the one that
-- was tried least, unless one tells it already. With a message, what that channel refused of it.
-- A reminder of another day is not the same.
WITH left_here AS (
    SELECT d.delivery_id, d.alert_id, d.event,
           CASE d.event WHEN 'reminder' THEN d.created_at - interval '1 hour'
                        ELSE '-infinity' END AS since
    FROM alert_deliveries d
    JOIN alerts a USING (alert_id)
    WHERE a.memory_dir = %(memory_dir)s AND d.channel = %(channel)s
      AND CASE WHEN %(message_id)s::uuid IS NULL THEN d.state = 'waiting'
               ELSE d.message_id = %(message_id)s::uuid AND d.state = 'refused' END
    FOR UPDATE OF d
), tried AS (
    SELECT l.delivery_id, o.channel, count(*) AS tries, bool_or(o.state = 'refused') AS is_refused,
           bool_or(o.state IN ('waiting', 'assigned', 'sent')) AS is_told
    FROM left_here l
    JOIN alert_deliveries o ON o.alert_id = l.alert_id AND o.event = l.event
                           AND o.channel <> %(channel)s AND o.created_at > l.since
    GROUP BY l.delivery_id, o.channel
), told AS (
    SELECT delivery_id FROM tried WHERE is_told
), heirs AS (
    SELECT DISTINCT ON (l.delivery_id) l.delivery_id, l.alert_id, l.event, o.channel
    FROM left_here l
    CROSS JOIN unnest(%(others)s::text[]) WITH ORDINALITY AS o (channel, place)
    LEFT JOIN tried t ON t.delivery_id = l.delivery_id AND t.channel = o.channel
    WHERE l.delivery_id NOT IN (SELECT delivery_id FROM told) AND t.is_refused IS NOT TRUE
    ORDER BY l.delivery_id, coalesce(t.tries, 0), o.place
), gone AS (
    UPDATE alert_deliveries SET state = 'told_elsewhere'
    WHERE state = 'waiting' AND delivery_id IN (SELECT delivery_id FROM told
                                                UNION SELECT delivery_id FROM heirs)
      AND channel = %(channel)s
)
INSERT INTO alert_deliveries (alert_id, channel, event)
SELECT DISTINCT alert_id, channel, event FROM heirs;

-- park_channel --
INSERT INTO alert_channels (memory_dir, channel, parked_until, reason)
VALUES (%(memory_dir)s, %(channel)s, CURRENT_TIMESTAMP + %(pause)s::interval, %(reason)s)
ON CONFLICT (memory_dir, channel)
DO UPDATE SET parked_until = EXCLUDED.parked_until, reason = EXCLUDED.reason;

-- try_channels_anew --
UPDATE alert_channels SET parked_until = CURRENT_TIMESTAMP WHERE memory_dir = %(memory_dir)s;

-- unpark_channel --
DELETE FROM alert_channels WHERE memory_dir = %(memory_dir)s AND channel = %(channel)s;

-- parked_channels --
SELECT channel, parked_until > CURRENT_TIMESTAMP, reason
FROM alert_channels WHERE memory_dir = %(memory_dir)s;

-- outbox --
SELECT d.channel, d.state, count(*), extract(epoch FROM CURRENT_TIMESTAMP - min(d.created_at))
FROM alert_deliveries d
JOIN alerts a USING (alert_id)
WHERE d.state IN ('waiting', 'assigned') AND a.memory_dir = %(memory_dir)s
GROUP BY d.channel, d.state;

-- list_alerts --
SELECT alert_id, kind, severity, state, body, conversation_id, created_at, last_seen_at,
       occurrences, acknowledged_at, acknowledged_by, resolved_at, resolution,
       coalesce(tell_at > CURRENT_TIMESTAMP, false) OR silenced_until IS NOT NULL, memory_dir,
       silenced_until
FROM alerts a
CROSS JOIN LATERAL (
    SELECT max(s.until) AS silenced_until
    FROM alert_silences s
    WHERE a.state <> 'resolved' AND s.until > CURRENT_TIMESTAMP
      AND (s.memory_dir IS NULL OR s.memory_dir = a.memory_dir)
      AND (s.kind IS NULL OR s.kind = a.kind)
      AND (s.conversation_id IS NULL OR s.conversation_id = a.conversation_id)
) AS silence
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
  AND NOT (%(no_info)s::bool AND severity = 'info')
  AND (%(alert_ids)s::bigint[] IS NULL OR alert_id = ANY(%(alert_ids)s))
ORDER BY alert_id DESC
LIMIT %(most)s;

-- alert_history --
SELECT d.channel, d.event, d.state, d.created_at, m.sent_at, m.attempts, m.unclear_attempts,
       m.error
FROM alert_deliveries d
LEFT JOIN alert_messages m USING (message_id)
WHERE d.alert_id = %(alert_id)s
ORDER BY d.delivery_id;

-- acknowledge --
UPDATE alerts
SET state = 'acknowledged', acknowledged_at = CURRENT_TIMESTAMP, acknowledged_by = %(who)s
WHERE alert_id = ANY(%(alert_ids)s) AND state = 'firing'
RETURNING alert_id;

-- resolve_by_hand --
UPDATE alerts
SET state = 'resolved', resolved_at = CURRENT_TIMESTAMP, resolution = %(resolution)s,
    untold = coalesce(untold, 'resolved')
WHERE alert_id = ANY(%(alert_ids)s) AND state <> 'resolved'
RETURNING alert_id;

-- resend --
INSERT INTO alert_deliveries (alert_id, channel, event)
SELECT DISTINCT d.alert_id, d.channel,
       CASE WHEN a.state = 'resolved' THEN 'resolved'
            ELSE 'reminder' END
FROM alert_deliveries d JOIN alerts a USING (alert_id)
WHERE d.alert_id = ANY(%(alert_ids)s)
RETURNING alert_id, channel;

-- add_silence --
INSERT INTO alert_silences (kind, conversation_id, until, comment, created_by, memory_dir)
VALUES (%(kind)s, %(conversation_id)s, CURRENT_TIMESTAMP + %(duration)s::interval, %(comment)s, %(who)s,
        %(memory_dir)s)
RETURNING silence_id, until;

-- is_known_folder --
SELECT EXISTS (SELECT FROM alerts WHERE memory_dir = %(memory_dir)s)
    OR EXISTS (SELECT FROM drops WHERE memory_dir = %(memory_dir)s);

-- list_silences --
SELECT silence_id, kind, conversation_id, until, comment, created_by, memory_dir
FROM alert_silences WHERE until > CURRENT_TIMESTAMP ORDER BY silence_id;

-- end_silence --
UPDATE alert_silences SET until = CURRENT_TIMESTAMP
WHERE silence_id = %(silence_id)s AND until > CURRENT_TIMESTAMP;

-- spooled --
-- The alert that a file of the spool became.
SELECT alert_id FROM alerts
WHERE memory_dir = %(memory_dir)s AND details ->> 'spool_id' = %(spool_id)s;

-- took_in --
UPDATE alerts
SET created_at = least(created_at, %(since)s::timestamptz),
    details = coalesce(details, '{}') || jsonb_build_object('spool_id', %(spool_id)s::text)
WHERE fingerprint = %(fingerprint)s AND state <> 'resolved'
RETURNING alert_id;

-- add_told_message --
WITH message AS (
    INSERT INTO alert_messages (message_id, memory_dir, channel, group_key, state, attempts,
                                unclear_attempts, reference, sent_at)
    SELECT %(message_id)s, %(memory_dir)s, %(channel)s, a.kind,
           CASE WHEN %(is_sure)s::bool THEN 'sent' ELSE 'waiting' END, 1,
           CASE WHEN %(is_sure)s::bool THEN 0 ELSE 1 END, %(reference)s::jsonb,
           CASE WHEN %(is_sure)s::bool THEN CURRENT_TIMESTAMP END
    FROM alerts a WHERE a.alert_id = %(alert_id)s
    RETURNING message_id
)
INSERT INTO alert_deliveries (alert_id, channel, event, state, message_id)
SELECT %(alert_id)s, %(channel)s, 'firing',
       CASE WHEN %(is_sure)s::bool THEN 'sent' ELSE 'assigned' END, message_id
FROM message;

-- day_facts --
SELECT d.drops, d.dead_letters, l.processed, l.processed - l.duplicates,
       (SELECT count(*) FROM alerts WHERE state <> 'resolved' AND memory_dir = %(memory_dir)s),
       (SELECT min(created_at) FROM drops WHERE memory_dir = %(memory_dir)s)
FROM (SELECT count(*) FILTER (WHERE parent_export_id IS NULL) AS drops, count(*) FILTER (WHERE outcome = 'dead_letter') AS dead_letters
      FROM drops WHERE memory_dir = %(memory_dir)s AND created_at > %(since)s) AS d,
     (SELECT coalesce(sum(g.messages_processed), 0)::bigint AS processed,
             coalesce(sum(g.duplicates_filtered), 0)::bigint AS duplicates
      FROM deduplication_log g
      WHERE g.created_at > %(since)s
        AND EXISTS (SELECT FROM drops r WHERE r.export_id = g.export_id
                                          AND r.memory_dir = %(memory_dir)s)) AS l;

-- last_drop --
SELECT max(created_at) FROM drops WHERE memory_dir = %(memory_dir)s;

-- had_digest --
SELECT EXISTS (SELECT FROM alerts WHERE fingerprint = %(fingerprint)s);
