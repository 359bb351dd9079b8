-- The log's tables and its one write. Created in the current schema, under an advisory lock, by the first who connects.

CREATE TABLE log_meta (name text PRIMARY KEY, value text NOT NULL);

-- The unique (stream, revision) is what makes an append safe; everything before it is speed.
CREATE TABLE log_events (
    position bigint PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    event_id uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    data text COLLATE "C" NOT NULL,
    metadata text COLLATE "C" NOT NULL,
    recorded_at bigint NOT NULL,
    CONSTRAINT log_events_by_stream UNIQUE (stream, revision),
    CONSTRAINT log_events_by_id UNIQUE (event_id)
);

-- Appends a batch. Per entry: the slot of its stream among p_streams, the expected last revision (-1: none) and the count of its
-- events; per event: its entry, stream, revision and content. o_accepted and o_current (the stream's last revision when the
-- entry was looked at) are per entry; accepted events stand, in order, at the positions behind o_base.
--
-- VOLATILE, so that each statement has a snapshot of its own and the heads are read after the lock was taken. The lock is held
-- until the transaction is committed and visible: the order of positions is the order of commits.
CREATE FUNCTION log_append(
    p_streams text[], p_slots int[], p_expected bigint[], p_counts bigint[],
    p_entries int[], p_names text[], p_revisions bigint[], p_ids uuid[], p_types text[], p_data text[], p_metadata text[],
    p_times bigint[],
    OUT o_accepted boolean[], OUT o_current bigint[], OUT o_base bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    heads bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(1667854947::bigint << 32 | 'log_events'::regclass::oid::bigint);
    SELECT array_agg(coalesce((SELECT max(e.revision) FROM log_events e WHERE e.stream = s.name), -1) ORDER BY s.slot)
        INTO heads FROM unnest(p_streams) WITH ORDINALITY s(name, slot);
    SELECT coalesce(max(position), 0) INTO o_base FROM log_events;

    o_accepted := array_fill(true, ARRAY[cardinality(p_slots)]);
    IF heads = p_expected THEN
        -- The usual case: one entry per stream, in the order of the streams, and every expectation holds.
        o_current := heads;
        INSERT INTO log_events
            SELECT o_base + n, name, revision, id, type, data, metadata, recorded_at
            FROM unnest(p_names, p_revisions, p_ids, p_types, p_data, p_metadata, p_times)
                WITH ORDINALITY x(name, revision, id, type, data, metadata, recorded_at, n);
        RETURN;
    END IF;

    o_current := p_expected;
    FOR i IN 1 .. cardinality(p_slots) LOOP
        IF heads[p_slots[i]] = p_expected[i] THEN
            heads[p_slots[i]] := p_expected[i] + p_counts[i];
        ELSE
            o_accepted[i] := false;
            o_current[i] := heads[p_slots[i]];
        END IF;
    END LOOP;
    INSERT INTO log_events
        SELECT o_base + row_number() OVER (ORDER BY n), name, revision, id, type, data, metadata, recorded_at
        FROM unnest(p_entries, p_names, p_revisions, p_ids, p_types, p_data, p_metadata, p_times)
            WITH ORDINALITY x(entry, name, revision, id, type, data, metadata, recorded_at, n)
        WHERE o_accepted[entry];
END $$;
