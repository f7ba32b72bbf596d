-- Every table and column says what it holds, in psql's \d+ and in docs/reference/schema.md.

COMMENT ON COLUMN alert_channels.memory_dir IS 'Memory folder whose messages it refused';
COMMENT ON COLUMN alert_channels.channel IS 'slack, mail or webhook';
COMMENT ON COLUMN alert_channels.parked_until IS 'Nothing is sent there before';
COMMENT ON COLUMN alert_channels.reason IS 'What the channel said';

COMMENT ON COLUMN alert_deliveries.delivery_id IS 'Number of the delivery';
COMMENT ON COLUMN alert_deliveries.alert_id IS 'The alert that is told';
COMMENT ON COLUMN alert_deliveries.channel IS 'slack, mail or webhook';
COMMENT ON COLUMN alert_deliveries.event IS 'firing, reminder, escalated or resolved';
COMMENT ON COLUMN alert_deliveries.message_id IS 'The message that carries it; NULL while it waits for others that belong to it';
COMMENT ON COLUMN alert_deliveries.created_at IS 'Time when it was decided';

COMMENT ON COLUMN alert_messages.message_id IS 'Identifier of the message, the same in every attempt';
COMMENT ON COLUMN alert_messages.memory_dir IS 'Memory folder whose alerts it tells';
COMMENT ON COLUMN alert_messages.channel IS 'slack, mail or webhook';
COMMENT ON COLUMN alert_messages.group_key IS 'What its alerts have in common: kind and conversation';
COMMENT ON COLUMN alert_messages.state IS 'waiting, sending, sent or given_up';
COMMENT ON COLUMN alert_messages.attempts IS 'How often it was tried';
COMMENT ON COLUMN alert_messages.due_at IS 'Not tried before';
COMMENT ON COLUMN alert_messages.lease_until IS 'Taken by a relay until then';
COMMENT ON COLUMN alert_messages.error IS 'What went wrong last';
COMMENT ON COLUMN alert_messages.created_at IS 'Time when it was made';
COMMENT ON COLUMN alert_messages.sent_at IS 'Time when the channel took it';

COMMENT ON COLUMN alert_silences.silence_id IS 'Number of the silence';
COMMENT ON COLUMN alert_silences.kind IS 'Alerts of this rule; NULL: of any';
COMMENT ON COLUMN alert_silences.conversation_id IS 'Alerts of this conversation; NULL: of any';
COMMENT ON COLUMN alert_silences.until IS 'When it ends';
COMMENT ON COLUMN alert_silences.comment IS 'Why, for whoever wonders';
COMMENT ON COLUMN alert_silences.created_by IS 'Who asked for it';
COMMENT ON COLUMN alert_silences.created_at IS 'When it began';

COMMENT ON COLUMN alerts.alert_id IS 'Number of the alert, as `exportd alerts list` shows it';
COMMENT ON COLUMN alerts.fingerprint IS 'What it is about, hashed: one open alert for one thing';
COMMENT ON COLUMN alerts.severity IS 'info, warning or critical';
COMMENT ON COLUMN alerts.title IS 'Its first line';
COMMENT ON COLUMN alerts.body IS 'What is wrong, in words';
COMMENT ON COLUMN alerts.conversation_id IS 'The conversation it is about, if any';
COMMENT ON COLUMN alerts.export_id IS 'The export it is about, if any';
COMMENT ON COLUMN alerts.state IS 'firing, acknowledged or resolved';
COMMENT ON COLUMN alerts.created_at IS 'Time when it was first seen';
COMMENT ON COLUMN alerts.kind IS 'Name of its rule';
COMMENT ON COLUMN alerts.memory_dir IS 'Memory folder it was found in';
COMMENT ON COLUMN alerts.details IS 'Facts of the case, by name';
COMMENT ON COLUMN alerts.last_seen_at IS 'Time when it was last seen';
COMMENT ON COLUMN alerts.acknowledged_at IS 'When somebody said that they know';
COMMENT ON COLUMN alerts.acknowledged_by IS 'Who said so';
COMMENT ON COLUMN alerts.resolved_at IS 'When it was over';

COMMENT ON COLUMN anomalies.anomaly_id IS 'Number of the anomaly';
COMMENT ON COLUMN anomalies.conversation_id IS 'Conversation in which it was found';
COMMENT ON COLUMN anomalies.export_id IS 'Export that showed it';
COMMENT ON COLUMN anomalies.segment_id IS 'Segment in which it was found';
COMMENT ON COLUMN anomalies.kind IS 'Its name, such as index_gap';
COMMENT ON COLUMN anomalies.severity IS 'info, warning or critical';
COMMENT ON COLUMN anomalies.message IS 'What is odd, in words';
COMMENT ON COLUMN anomalies.created_at IS 'Time when it was found';
COMMENT ON COLUMN anomalies.metadata IS 'Facts of the case, by name';

COMMENT ON TABLE conversation_aliases IS 'Other names under which a conversation was seen, and its former ids';
COMMENT ON COLUMN conversation_aliases.alias IS 'The other name';
COMMENT ON COLUMN conversation_aliases.conversation_id IS 'Conversation that is found by it';
COMMENT ON COLUMN conversation_aliases.reason IS 'Where the name comes from';
COMMENT ON COLUMN conversation_aliases.created_at IS 'Time when it was first seen';

COMMENT ON COLUMN dead_letters.dead_letter_id IS 'Number of the dead letter';
COMMENT ON COLUMN dead_letters.export_id IS 'Its content, where that was read';
COMMENT ON COLUMN dead_letters.claim_id IS 'Claim of the file, or of a record in it';
COMMENT ON COLUMN dead_letters.original_name IS 'Name under which it was dropped';
COMMENT ON COLUMN dead_letters.reason IS 'Why, in words for people';
COMMENT ON COLUMN dead_letters.error_class IS 'Class of the error, such as MalformedExport';
COMMENT ON COLUMN dead_letters.created_at IS 'Time when it was set aside';

COMMENT ON COLUMN deduplication_log.log_id IS 'Number of the row';
COMMENT ON COLUMN deduplication_log.conversation_id IS 'Conversation that the export is part of';
COMMENT ON COLUMN deduplication_log.processing_time_ms IS 'Milliseconds from claim to store';
COMMENT ON COLUMN deduplication_log.created_at IS 'Time when it was ingested';
COMMENT ON COLUMN deduplication_log.metadata IS 'Numbers of new, duplicate, re_rendered and completed messages';
COMMENT ON COLUMN deduplication_log.export_id IS 'The export';
COMMENT ON COLUMN deduplication_log.segment_id IS 'Segment it was aligned with';

COMMENT ON COLUMN drops.drop_id IS 'Number of the arrival';
COMMENT ON COLUMN drops.claim_id IS 'Name of its folder in .exportd/inflight/';
COMMENT ON COLUMN drops.export_id IS 'Its content; NULL until it was hashed';
COMMENT ON COLUMN drops.original_name IS 'Name under which it was dropped, escaped';
COMMENT ON COLUMN drops.memory_dir IS 'Memory folder it was dropped into, escaped';
COMMENT ON COLUMN drops.created_at IS 'Time when it was claimed';

COMMENT ON COLUMN export_segments.export_id IS 'The export';
COMMENT ON COLUMN export_segments.segment_id IS 'The segment of which it shows messages';
COMMENT ON COLUMN export_segments.message_count IS 'How many messages it showed';

COMMENT ON COLUMN exports.export_id IS 'Number of the content';
COMMENT ON COLUMN exports.sha256 IS 'SHA-256 of its bytes, hex';
COMMENT ON COLUMN exports.size_bytes IS 'How many bytes';
COMMENT ON COLUMN exports.modified_at IS 'Time that the file had';
COMMENT ON COLUMN exports.state IS 'claimed, ingested or dead_letter';
COMMENT ON COLUMN exports.format IS 'Name of the format; NULL until it is known';
COMMENT ON COLUMN exports.parser_version IS 'Version of the parsers that read it';
COMMENT ON COLUMN exports.message_count IS 'Messages in it';
COMMENT ON COLUMN exports.created_at IS 'Time when it was first seen';
COMMENT ON COLUMN exports.ingested_at IS 'Time when its messages were stored';
COMMENT ON COLUMN exports.archived_at IS 'Time when the archive had it';
COMMENT ON COLUMN exports.metadata IS 'Its header, lineage, flags, native session id and title, and why its segment was taken';

COMMENT ON COLUMN message_renderings.message_id IS 'The message';
COMMENT ON COLUMN message_renderings.content_hash IS 'As in messages, of this text';
COMMENT ON COLUMN message_renderings.content IS 'The other text';
COMMENT ON COLUMN message_renderings.created_at IS 'Time when it was kept';

COMMENT ON COLUMN messages.segment_id IS 'Segment it is part of';
COMMENT ON COLUMN messages.kind IS 'prompt, text, thinking, tool_call, tool_result, command, notice or attachment';
COMMENT ON COLUMN messages.occurred_at IS 'When it was said; NULL where the format has no times';

COMMENT ON COLUMN overrides.override_id IS 'Number of the decision, as `exportd sessions history` shows it';
COMMENT ON COLUMN overrides.uuid IS 'The same decision in the archive''s manifest';
COMMENT ON COLUMN overrides.operation IS 'rename, merge or split';
COMMENT ON COLUMN overrides.from_id IS 'Conversation it is about';
COMMENT ON COLUMN overrides.into_id IS 'Conversation that it becomes, or becomes part of';
COMMENT ON COLUMN overrides.made_by IS 'Who decided';
COMMENT ON COLUMN overrides.created_at IS 'When';
COMMENT ON COLUMN overrides.undone_at IS 'When it was taken back; NULL while it holds';

COMMENT ON COLUMN segments.segment_id IS 'Number of the segment';
COMMENT ON COLUMN segments.conversation_id IS 'Conversation it is part of';
COMMENT ON COLUMN segments.message_count IS 'How many messages it has';
COMMENT ON COLUMN segments.starts_compacted IS 'Whether it begins after a compaction';
COMMENT ON COLUMN segments.format IS 'Format of its exports';
COMMENT ON COLUMN segments.created_at IS 'Time when it was first seen';

COMMENT ON COLUMN watermarks.conversation_id IS 'The conversation';
COMMENT ON COLUMN watermarks.last_updated IS 'Time when it last grew';
