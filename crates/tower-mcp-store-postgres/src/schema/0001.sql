-- The schema of a fleet: one database for the files of many stores.
--
-- The tables hold the rows of the files. `store_id`, the id of the file, is a part of each key.
-- Columns that a file also has have the same names, units and meanings; see
-- `docs/file-format.md` of the project. Times are unix milliseconds in UTC, latencies
-- microseconds.
--
-- Texts are compared by their bytes, as SQLite does. So a query gives the same order on a
-- file and here.

-- One row. A step of the schema raises `version`. The other columns say up to which time
-- rows were dropped from the database.
CREATE TABLE mcp_store_meta (
    only_row           boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version            integer NOT NULL,
    requests_pruned_to bigint,
    hours_pruned_to    bigint,
    days_pruned_to     bigint
);
INSERT INTO mcp_store_meta (version) VALUES (1);

-- The files. `shipped_to` is the id of the newest shipped request, and `shipped_request_id` its
-- request id: if the file has another request with this id, it was restored from a copy.
-- `request_rollups` counts the requests up to `rolled_up_to`. `clock_ahead_ms` is how far the
-- clock of the shipper was ahead of that of the database.
CREATE TABLE sources (
    store_id           uuid   PRIMARY KEY,
    instance           text   COLLATE "C",
    shipper            uuid   NOT NULL,
    schema_version     bigint NOT NULL,
    writer_version     text   COLLATE "C",
    key_fingerprints   text[] NOT NULL DEFAULT '{}',
    shipped_to         bigint NOT NULL DEFAULT 0,
    shipped_request_id text   COLLATE "C",
    rolled_up_to          bigint NOT NULL DEFAULT 0,
    requests_pruned_to bigint,
    polls_pruned_to    bigint,
    hours_pruned_to    bigint,
    days_pruned_to     bigint,
    clock_ahead_ms     bigint NOT NULL DEFAULT 0,
    first_seen_at      bigint NOT NULL,
    seen_at            bigint NOT NULL
);

-- `id` is the row number in the file.
CREATE TABLE requests (
    store_id         uuid    NOT NULL,
    id               bigint  NOT NULL,
    request_id       text    COLLATE "C" NOT NULL,
    ts               bigint  NOT NULL,
    proxy            text    COLLATE "C" NOT NULL,
    session_id       text    COLLATE "C",
    method           text    COLLATE "C" NOT NULL,
    tool             text    COLLATE "C",
    latency_us       bigint  NOT NULL,
    status           text    COLLATE "C" NOT NULL,
    error_code       text    COLLATE "C",
    error_msg        text    COLLATE "C",
    bytes_in         bigint,
    bytes_out        bigint,
    target           text    COLLATE "C",
    http_status      bigint,
    tool_error       bigint  NOT NULL DEFAULT 0,
    end_reason       text    COLLATE "C",
    ttfb_us          bigint,
    protocol_version text    COLLATE "C",
    principal        text    COLLATE "C",
    trace_id         text    COLLATE "C",
    parent_span_id   text    COLLATE "C",
    rpc_id           text    COLLATE "C",
    operation_id     text    COLLATE "C",
    leg              bigint,
    state_in         bytea,
    state_out        bytea,
    task_id          text    COLLATE "C",
    task_status      text    COLLATE "C",
    operation_us     bigint,
    PRIMARY KEY (request_id, ts)
) PARTITION BY RANGE (ts);

-- For rows whose day has no partition yet, or whose time is of a wrong clock.
CREATE TABLE requests_default PARTITION OF requests DEFAULT;

CREATE INDEX requests_by_ts        ON requests (ts);
CREATE INDEX requests_by_row       ON requests (store_id, id);
CREATE INDEX requests_by_tool      ON requests (tool, ts) WHERE tool IS NOT NULL;
CREATE INDEX requests_by_method    ON requests (method, ts) WHERE tool IS NULL;
CREATE INDEX requests_by_server    ON requests (proxy, ts) WHERE proxy <> 'default';
CREATE INDEX requests_by_session   ON requests (session_id, ts) WHERE session_id IS NOT NULL;
-- Only few requests are in these.
CREATE INDEX requests_by_failure   ON requests (ts)
    WHERE status <> 'ok' OR tool_error <> 0 OR end_reason IS NOT NULL;
CREATE INDEX requests_by_status    ON requests (status, ts) WHERE status <> 'ok';
CREATE INDEX requests_by_code      ON requests (error_code, ts) WHERE error_code IS NOT NULL;
CREATE INDEX requests_by_reason    ON requests (end_reason, ts) WHERE end_reason IS NOT NULL;
CREATE INDEX requests_by_latency   ON requests (latency_us) WHERE latency_us >= 100000;
CREATE INDEX requests_by_principal ON requests (principal, ts) WHERE principal IS NOT NULL;
CREATE INDEX requests_by_trace     ON requests (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX requests_by_operation ON requests (operation_id) WHERE operation_id IS NOT NULL;
CREATE INDEX requests_by_task      ON requests (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX requests_by_state_in  ON requests (state_in) WHERE state_in IS NOT NULL;
CREATE INDEX requests_by_state_out ON requests (state_out) WHERE state_out IS NOT NULL;

-- The counts of a session in each file. The view `sessions` adds them up. `is_guest` is 1
-- if the file has requests of the session, but the row of the session is in the file of
-- another server.
CREATE TABLE store_sessions (
    session_id       text   COLLATE "C" NOT NULL,
    store_id         uuid   NOT NULL,
    proxy            text   COLLATE "C" NOT NULL,
    started_at       bigint NOT NULL,
    last_seen_at     bigint NOT NULL,
    ended_at         bigint,
    client_name      text   COLLATE "C",
    client_version   text   COLLATE "C",
    client_platform  text   COLLATE "C",
    total_calls      bigint NOT NULL DEFAULT 0,
    total_errors     bigint NOT NULL DEFAULT 0,
    source           text   COLLATE "C" NOT NULL DEFAULT 'header',
    protocol_version text   COLLATE "C",
    server_name      text   COLLATE "C",
    server_version   text   COLLATE "C",
    caller           text   COLLATE "C",
    operations       bigint NOT NULL DEFAULT 0,
    is_guest         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, store_id)
);
CREATE INDEX store_sessions_by_start ON store_sessions (started_at);
CREATE INDEX store_sessions_by_seen  ON store_sessions (last_seen_at);

CREATE TABLE tasks (
    store_id     uuid   NOT NULL,
    operation_id text   COLLATE "C" NOT NULL,
    task_id      text   COLLATE "C" NOT NULL,
    caller       text   COLLATE "C",
    status       text   COLLATE "C",
    updated_ts   bigint NOT NULL,
    ended_ts     bigint,
    outcome      text   COLLATE "C",
    error_code   text   COLLATE "C",
    error_msg    text   COLLATE "C",
    polls        bigint NOT NULL DEFAULT 0,
    rolled_up_as    text   COLLATE "C",
    PRIMARY KEY (operation_id, store_id)
);
CREATE INDEX tasks_not_rolled_up ON tasks (ended_ts)
    WHERE ended_ts IS NOT NULL AND rolled_up_as IS DISTINCT FROM outcome;

-- The shipper adds rows with an `id` below 0, for rows that the database refused.
CREATE TABLE losses (
    store_id uuid   NOT NULL,
    id       bigint NOT NULL,
    from_ts  bigint NOT NULL,
    to_ts    bigint NOT NULL,
    dropped  bigint,
    reason   text   COLLATE "C" NOT NULL,
    PRIMARY KEY (store_id, id)
);

CREATE TABLE writers (
    store_id           uuid   NOT NULL,
    id                 text   COLLATE "C" NOT NULL,
    started_at         bigint NOT NULL,
    seen_at            bigint NOT NULL,
    ended_at           bigint,
    instance           text   COLLATE "C",
    submitted          bigint NOT NULL DEFAULT 0,
    written            bigint NOT NULL DEFAULT 0,
    failed             bigint NOT NULL DEFAULT 0,
    dropped            bigint NOT NULL DEFAULT 0,
    unlinked           bigint NOT NULL DEFAULT 0,
    posts              bigint NOT NULL DEFAULT 0,
    skipped            bigint NOT NULL DEFAULT 0,
    truncated          bigint NOT NULL DEFAULT 0,
    unidentified       bigint NOT NULL DEFAULT 0,
    other_media        bigint NOT NULL DEFAULT 0,
    mismatched         bigint NOT NULL DEFAULT 0,
    listings_too_long  bigint NOT NULL DEFAULT 0,
    listings_malformed bigint NOT NULL DEFAULT 0,
    in_flight          bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (store_id, id)
);

CREATE TABLE server_schema (
    store_id     uuid   NOT NULL,
    id           bigint NOT NULL,
    proxy        text   COLLATE "C" NOT NULL,
    upstream_url text   COLLATE "C" NOT NULL,
    method       text   COLLATE "C" NOT NULL,
    payload      text   COLLATE "C" NOT NULL,
    captured_at  bigint NOT NULL,
    schema_hash  text   COLLATE "C" NOT NULL,
    PRIMARY KEY (store_id, id)
);

CREATE TABLE schema_changes (
    store_id     uuid   NOT NULL,
    id           bigint NOT NULL,
    upstream_url text   COLLATE "C" NOT NULL,
    method       text   COLLATE "C" NOT NULL,
    change_type  text   COLLATE "C" NOT NULL,
    item_name    text   COLLATE "C",
    old_hash     text   COLLATE "C",
    new_hash     text   COLLATE "C",
    detected_at  bigint NOT NULL,
    proxy        text   COLLATE "C" NOT NULL,
    PRIMARY KEY (store_id, id)
);
CREATE INDEX schema_changes_by_time ON schema_changes (detected_at);

CREATE TABLE listing_payloads (
    content_hash text   COLLATE "C" PRIMARY KEY,
    bytes        bigint NOT NULL,
    payload      text   COLLATE "C" NOT NULL
);

CREATE TABLE listing_views (
    store_id         uuid   NOT NULL,
    id               bigint NOT NULL,
    proxy            text   COLLATE "C" NOT NULL,
    upstream_url     text   COLLATE "C" NOT NULL,
    method           text   COLLATE "C" NOT NULL,
    protocol_version text   COLLATE "C" NOT NULL,
    principal        text   COLLATE "C",
    content_hash     text   COLLATE "C" NOT NULL,
    meta_hash        text   COLLATE "C",
    seen_at          bigint NOT NULL,
    PRIMARY KEY (store_id, id)
);

CREATE TABLE request_rollups (
    store_id       uuid   NOT NULL,
    width          bigint NOT NULL,
    start          bigint NOT NULL,
    proxy          text   COLLATE "C" NOT NULL,
    method         text   COLLATE "C" NOT NULL,
    tool           text   COLLATE "C" NOT NULL,
    outcome        text   COLLATE "C" NOT NULL,
    calls          bigint NOT NULL,
    ended          bigint NOT NULL,
    bytes_in       bigint NOT NULL,
    bytes_out      bigint NOT NULL,
    max_latency_us bigint NOT NULL,
    max_wall_us    bigint NOT NULL,
    PRIMARY KEY (width, start, proxy, method, tool, outcome, store_id)
);

-- The histograms of cells. `bucket` is the lowest latency of a bucket, whose highest is at
-- most 1/128 more. `server` and `wall` are how many calls took that long, by server time and
-- by wall time.
CREATE TABLE rollup_buckets (
    store_id uuid   NOT NULL,
    width    bigint NOT NULL,
    start    bigint NOT NULL,
    proxy    text   COLLATE "C" NOT NULL,
    method   text   COLLATE "C" NOT NULL,
    tool     text   COLLATE "C" NOT NULL,
    outcome  text   COLLATE "C" NOT NULL,
    bucket   bigint NOT NULL,
    server   bigint NOT NULL,
    wall     bigint NOT NULL,
    PRIMARY KEY (width, start, proxy, method, tool, outcome, store_id, bucket)
);

-- The text of a time in UTC; NULL for a time that no calendar has.
CREATE FUNCTION mcp_store_time(ts bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN ts BETWEEN -62135596800000 AND 253402300799999 THEN
        to_char(to_timestamp(ts / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    END
$$;

-- The outcome of a request, in one word.
CREATE FUNCTION mcp_store_outcome(
    status text, tool_error bigint, end_reason text, error_code text, http_status bigint
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN end_reason = 'input_required' THEN 'input_required'
        WHEN end_reason = 'task' THEN 'working'
        WHEN status = 'error' AND error_code = '-32042' THEN 'input_required'
        WHEN tool_error <> 0 THEN 'tool_error'
        WHEN status = 'timeout' THEN 'timeout'
        WHEN end_reason IN ('client_gone', 'cancelled') THEN 'gone'
        WHEN status = 'error' AND (
            error_code IN ('-32700', '-32600', '-32601', '-32602',
                '-32002', '-32020', '-32021', '-32022')
            OR (http_status BETWEEN 400 AND 499 AND http_status <> 408
                AND error_code IS DISTINCT FROM '-32603')
        ) THEN 'caller_error'
        WHEN status = 'error' THEN 'error'
        ELSE 'ok'
    END
$$;

-- The value of `error.type` (OpenTelemetry); NULL if the server did not fail.
CREATE FUNCTION mcp_store_error_type(
    outcome text, error_code text, end_reason text, http_status bigint
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN outcome IN ('tool_error', 'timeout') THEN outcome
        WHEN outcome IN ('error', 'gone')
            THEN coalesce(error_code, end_reason, http_status::text, '_OTHER')
    END
$$;

-- A latency, cut to its first three digits.
CREATE FUNCTION mcp_store_three_digits(us bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN us < 1000 THEN us
        WHEN us < 10000 THEN us / 10 * 10
        WHEN us < 100000 THEN us / 100 * 100
        WHEN us < 1000000 THEN us / 1000 * 1000
        WHEN us < 10000000 THEN us / 10000 * 10000
        ELSE us / 100000 * 100000
    END
$$;

-- A sum as a `bigint`. A greater sum becomes the highest `bigint`.
CREATE FUNCTION mcp_store_bounded(total numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT least(coalesce(total, 0), 9223372036854775807)::bigint
$$;

-- Each session, added up over the files with requests of it.
CREATE VIEW sessions AS
SELECT
    session_id,
    min(proxy) AS proxy,
    min(started_at) AS started_at,
    max(last_seen_at) AS last_seen_at,
    min(ended_at) AS ended_at,
    min(client_name) AS client_name,
    min(client_version) AS client_version,
    min(client_platform) AS client_platform,
    mcp_store_bounded(sum(total_calls)) AS total_calls,
    mcp_store_bounded(sum(total_errors)) AS total_errors,
    min(source) FILTER (WHERE is_guest = 0) AS source,
    min(protocol_version) AS protocol_version,
    min(server_name) AS server_name,
    min(server_version) AS server_version,
    min(caller) AS caller,
    mcp_store_bounded(sum(operations)) AS operations
FROM store_sessions GROUP BY session_id HAVING min(is_guest) = 0;

-- Each request. The row of its session may be from another file.
CREATE VIEW calls AS
SELECT
    r.id,
    mcp_store_time(r.ts) AS time,
    r.ts,
    r.proxy,
    r.method AS mcp_method_name,
    r.tool AS gen_ai_tool_name,
    CASE WHEN r.method = 'prompts/get' THEN r.target END AS gen_ai_prompt_name,
    CASE WHEN r.method LIKE 'resources/%' THEN r.target END AS mcp_resource_uri,
    r.latency_us / 1e6::double precision AS mcp_server_operation_duration,
    r.status,
    r.outcome,
    mcp_store_error_type(r.outcome, r.error_code, r.end_reason, r.http_status) AS error_type,
    r.error_code AS rpc_response_status_code,
    r.error_msg AS error_message,
    r.end_reason,
    r.http_status AS http_response_status_code,
    r.bytes_in AS http_request_body_size,
    r.bytes_out AS http_response_body_size,
    r.session_id AS mcp_session_id,
    coalesce(r.protocol_version, s.protocol_version) AS mcp_protocol_version,
    s.client_name,
    s.client_version,
    s.client_platform,
    r.principal AS enduser_id,
    r.trace_id,
    r.parent_span_id,
    r.rpc_id AS jsonrpc_request_id,
    r.request_id,
    r.operation_id,
    r.leg,
    r.store_id
FROM (
    SELECT *, mcp_store_outcome(status, tool_error, end_reason, error_code, http_status)
        AS outcome
    FROM requests
) AS r
LEFT JOIN LATERAL (
    SELECT protocol_version, client_name, client_version, client_platform
    FROM store_sessions WHERE session_id = r.session_id
    ORDER BY is_guest, started_at, store_id LIMIT 1
) AS s ON true;

-- The time of the first request of an operation. As a subquery, this would be planned for each
-- pair of partitions, even if no request needs it.
CREATE FUNCTION mcp_store_began(first_id text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT min(ts) FROM requests WHERE request_id = first_id
$$;

-- The requests, in any file, whose answers may have given the state that a request sent back. The hash of
-- a state covers caller, method and target. The last bit of a hash is 1 for the keys of a question.
--
-- A state still identifies its operation an hour after the client sent it back, because the network may
-- deliver a request twice. Keys do so only until the client answers. Its answer is that of an open
-- question, but nothing says of which. So all questions are open until there are as many answers.
--
-- Clocks of replicas differ, so a first request may seem to be younger than the request that follows it.
--
-- These functions call each other. In PL/pgSQL a session plans their queries once, in SQL at each call.
CREATE FUNCTION mcp_store_givers(
    leg_id text, leg_ts bigint, leg_proxy text, state bytea
) RETURNS TABLE (request_id text, ts bigint, operation_id text, state_in bytea)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH steps AS (
            (SELECT ts, request_id, coalesce(operation_id, request_id) AS operation_id, state_in,
                1 AS step,
                -- An answer with the state that it got comes after the answer that gave it.
                CASE WHEN state_in = state THEN 3 ELSE 1 END AS place
            FROM requests
            WHERE state_out = state AND proxy = leg_proxy AND request_id <> leg_id
                AND (ts < leg_ts OR state_in IS NULL
                    AND ts <= leg_ts + CASE WHEN get_byte(state, 7) & 1 = 1 THEN 0 ELSE 60000 END)
            ORDER BY ts DESC LIMIT 64)
            UNION ALL
            (SELECT ts, request_id, NULL, NULL, -1, 2
            FROM requests
            WHERE state_in = state AND proxy = leg_proxy AND request_id <> leg_id
                AND ts < leg_ts - CASE WHEN get_byte(state, 7) & 1 = 1 THEN 0 ELSE 3600000 END
            ORDER BY ts DESC LIMIT 64)
        ),
        counted AS (
            SELECT *, sum(step) OVER (ORDER BY ts, place, request_id) AS open FROM steps
        ),
        -- An answer to no known question does not count.
        open AS (
            SELECT *, open - least(0, min(open) OVER (ORDER BY ts, place, request_id)) AS level
            FROM counted
        ),
        questions AS (
            SELECT *, min(level) OVER (ORDER BY ts, place, request_id
                ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS least
            FROM open
        ),
        candidates AS (
            SELECT *, bool_or(ts <= leg_ts) OVER () AS has_older FROM questions
            WHERE step = 1 AND least > 0
        )
        SELECT request_id, ts, operation_id, state_in FROM candidates
        WHERE ts <= leg_ts OR NOT has_older;
END
$$;

-- The request among them, if all belong to one operation.
CREATE FUNCTION mcp_store_giver(
    leg_id text, leg_ts bigint, leg_proxy text, state bytea
) RETURNS text LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN (
        WITH givers AS (
            SELECT *, min(operation_id) OVER () = max(operation_id) OVER () AS is_one,
                count(*) OVER () AS total
            FROM mcp_store_givers(leg_id, leg_ts, leg_proxy, state)
        )
        SELECT (array_agg(request_id ORDER BY ts DESC, request_id))[1] FROM givers
        HAVING count(DISTINCT CASE
            -- Two files that got one request have two operations with it.
            WHEN NOT is_one AND total <= 4 AND state_in IS NOT NULL THEN coalesce((
                SELECT min(b.operation_id)
                FROM mcp_store_givers(givers.request_id, givers.ts, leg_proxy, givers.state_in) AS b
                HAVING count(DISTINCT b.operation_id) = 1
            ), operation_id)
            ELSE operation_id
        END) = 1
    );
END
$$;

-- The requests of an operation in all files, in order. They are found by their states, because a file
-- that has only some of them may have linked them otherwise.
CREATE FUNCTION mcp_store_legs(first_id text) RETURNS TABLE (
    request_id text, ts bigint, latency_us bigint, is_final boolean, outcome text,
    error_type text, error_msg text
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH RECURSIVE legs AS (
            SELECT r.*, 1 AS place FROM requests AS r WHERE r.request_id = first_id
            UNION
            SELECT h.*, l.place + 1 FROM legs AS l
            CROSS JOIN LATERAL (
                -- With OFFSET the index comes first, and the function is called for these rows only.
                SELECT * FROM requests WHERE state_in = l.state_out OFFSET 0
            ) AS h
            WHERE mcp_store_giver(h.request_id, h.ts, h.proxy, h.state_in) = l.request_id
        )
        SELECT request_id, ts, latency_us,
            end_reason IS NULL OR end_reason NOT IN ('input_required', 'task'),
            outcome, mcp_store_error_type(outcome, error_code, end_reason, http_status), error_msg
        FROM (
            SELECT *, mcp_store_outcome(status, tool_error, end_reason, error_code, http_status)
                AS outcome
            FROM legs
        ) AS l ORDER BY ts, place, id;
END
$$;

-- The place of a request in its operation, over all files: what `operation_id`, `leg` and
-- `operation_us` are in a file, and the time of the first request.
CREATE FUNCTION mcp_store_place(own requests) RETURNS TABLE (
    fleet_operation text, fleet_leg bigint, fleet_us bigint, fleet_first_ts bigint
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        WITH RECURSIVE before AS (
            SELECT own.request_id, own.ts, 1::bigint AS number, mcp_store_giver(
                own.request_id, own.ts, own.proxy, own.state_in) COLLATE "C" AS giver
            UNION
            SELECT g.request_id, g.ts, b.number + 1, CASE WHEN g.state_in IS NOT NULL
                THEN mcp_store_giver(g.request_id, g.ts, g.proxy, g.state_in) COLLATE "C" END
            FROM before AS b JOIN requests AS g ON g.request_id = b.giver
        ),
        found AS (
            SELECT b.*,
                coalesce(own.end_reason NOT IN ('input_required', 'task'), true) AS is_final,
                -- The file linked it, and other files have other requests that gave the state.
                own.leg > 1 AND EXISTS (SELECT 1 FROM requests AS g WHERE g.state_out = own.state_in)
                    AS is_apart
            FROM before AS b ORDER BY number DESC LIMIT 1
        )
        SELECT
            CASE
                WHEN number > 1 THEN request_id
                WHEN is_apart THEN CASE WHEN NOT is_final THEN own.request_id END
                ELSE own.operation_id
            END,
            CASE
                WHEN number > 1 THEN number
                WHEN is_apart THEN CASE WHEN NOT is_final THEN 1 END
                ELSE own.leg
            END,
            CASE
                WHEN number > 1 AND is_final THEN (
                    SELECT sum(latency_us) FILTER (WHERE finals = 0 OR finals = 1 AND is_final)::bigint
                    FROM (
                        SELECT *, count(*) FILTER (WHERE is_final)
                            OVER (ORDER BY n ROWS UNBOUNDED PRECEDING) AS finals
                        FROM mcp_store_legs(found.request_id) WITH ORDINALITY
                            AS l (request_id, ts, latency_us, is_final, outcome, error_type, error_msg, n)
                    ) AS l
                    HAVING min(request_id) FILTER (WHERE finals = 1 AND is_final) = own.request_id)
                WHEN number = 1 AND NOT is_apart THEN own.operation_us
            END,
            CASE WHEN number > 1 THEN ts END
        FROM found;
END
$$;

-- The caller of a request, for links: the session that the client names, else the caller of the
-- derived session.
CREATE FUNCTION mcp_store_caller(session text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN session LIKE 'derived:%'
            THEN (SELECT min(caller) FROM store_sessions WHERE session_id = session)
        ELSE session
    END
$$;

-- The end and the polls of a task, from requests of the same caller in other files. The caller
-- is the session, else the caller in the row of the task.
CREATE FUNCTION mcp_store_task_elsewhere(
    task text, of_store uuid, of_proxy text, of_session text, of_caller text, since bigint
) RETURNS TABLE (ended_ts bigint, outcome text, polls bigint) LANGUAGE sql STABLE AS $$
    SELECT
        min(r.ts + r.latency_us / 1000) FILTER (WHERE r.task_status IS NOT NULL
            AND r.task_status NOT IN ('working', 'input_required')),
        min(CASE r.task_status
            WHEN 'completed' THEN 'ok'
            WHEN 'failed' THEN 'error'
            WHEN 'cancelled' THEN 'gone'
        END),
        count(*) FILTER (WHERE r.method = 'tasks/get')
    FROM requests AS r
    WHERE r.task_id = task AND r.method LIKE 'tasks/%' AND r.store_id <> of_store
        AND r.proxy = of_proxy AND r.ts >= since
        AND mcp_store_caller(r.session_id) = CASE
            WHEN of_session IS NULL OR of_session LIKE 'derived:%'
                THEN coalesce(of_caller, mcp_store_caller(of_session))
            ELSE of_session
        END
$$;

-- Each call once, with all of its rounds of input and polls, in any number of files. It is
-- found by its first request `f`.
CREATE VIEW operations AS
SELECT
    f.request_id AS operation_id,
    CASE
        WHEN t.operation_id IS NOT NULL OR f.outcome = 'working' THEN 'task'
        WHEN f.leg = 1 THEN 'multi_round'
        ELSE 'single'
    END AS kind,
    f.proxy,
    f.method AS mcp_method_name,
    f.tool AS gen_ai_tool_name,
    CASE WHEN f.method = 'prompts/get' THEN f.target END AS gen_ai_prompt_name,
    CASE WHEN f.method LIKE 'resources/%' THEN f.target END AS mcp_resource_uri,
    mcp_store_time(f.ts) AS time,
    f.ts,
    CASE
        WHEN t.operation_id IS NOT NULL THEN t.ended_ts
        WHEN f.leg = 1 THEN e.ended_ts
        WHEN f.ends THEN f.ts + f.latency_us / 1000
    END AS ended_ts,
    CASE
        WHEN t.operation_id IS NOT NULL
            THEN CASE WHEN t.ended_ts IS NOT NULL THEN greatest(0, (t.ended_ts - f.ts) * 1000) END
        WHEN f.leg = 1 THEN greatest(e.server_us, e.end_us - f.ts * 1000)
        WHEN f.ends AND f.end_reason IS DISTINCT FROM 'stream_end' THEN f.latency_us
    END AS wall_us,
    CASE
        WHEN t.operation_id IS NOT NULL THEN NULL
        WHEN f.leg = 1 THEN e.server_us
        WHEN f.ends AND f.end_reason IS DISTINCT FROM 'stream_end' THEN f.latency_us
    END AS server_us,
    CASE
        WHEN t.operation_id IS NOT NULL THEN NULL
        WHEN f.leg = 1 THEN CASE WHEN e.end_us IS NOT NULL
            THEN greatest(0, e.end_us - f.ts * 1000 - e.server_us) END
        WHEN f.ends AND f.end_reason IS DISTINCT FROM 'stream_end' THEN 0
    END AS client_us,
    coalesce(e.legs, 1) AS legs,
    coalesce(t.polls, 0) AS polls,
    CASE
        WHEN t.operation_id IS NOT NULL
            THEN coalesce(CASE WHEN t.ended_ts IS NOT NULL THEN t.outcome END, 'working')
        WHEN f.leg = 1 THEN coalesce(e.outcome, f.outcome)
        ELSE f.outcome
    END AS outcome,
    CASE
        WHEN t.operation_id IS NOT NULL THEN
            CASE WHEN t.ended_ts IS NOT NULL THEN mcp_store_error_type(t.outcome, t.error_code,
                CASE WHEN t.outcome = 'gone' THEN 'cancelled' END, NULL) END
        WHEN f.leg = 1 THEN e.error_type
        ELSE mcp_store_error_type(f.outcome, f.error_code, f.end_reason, f.http_status)
    END AS error_type,
    CASE
        WHEN t.operation_id IS NOT NULL THEN t.error_msg
        WHEN f.leg = 1 THEN e.error_msg
        ELSE f.error_msg
    END AS error_message,
    coalesce(t.task_id, f.task_id) AS task_id,
    f.session_id AS mcp_session_id,
    coalesce(f.protocol_version, s.protocol_version) AS mcp_protocol_version,
    s.client_name,
    s.client_version,
    s.client_platform,
    f.principal AS enduser_id,
    f.trace_id,
    f.store_id
FROM (
    SELECT store_id, request_id, ts, proxy, session_id, method, tool, target, latency_us, end_reason,
        error_code, error_msg, http_status, protocol_version, principal, trace_id, task_id, outcome,
        ends,
        -- A file that has only a part of the requests may have taken it for a later one.
        CASE WHEN leg > 1 THEN CASE WHEN NOT ends THEN 1 END ELSE leg END AS leg
    FROM (
        SELECT *, outcome NOT IN ('input_required', 'working') AS ends
        FROM (
            SELECT *, mcp_store_outcome(status, tool_error, end_reason, error_code, http_status)
                AS outcome
            FROM requests
        ) AS r
        WHERE state_in IS NULL AND coalesce(leg, 1) = 1
            OR mcp_store_giver(request_id, ts, proxy, state_in) IS NULL
                -- The first requests of an operation may have been removed.
                AND (coalesce(leg, 1) = 1
                    OR EXISTS (SELECT 1 FROM requests AS g WHERE g.state_out = r.state_in))
    ) AS r
) AS f
LEFT JOIN LATERAL (
    SELECT
        a.legs,
        CASE WHEN a.end_us IS NOT NULL THEN a.server_us END AS server_us,
        a.end_us,
        a.ended_ts,
        a.outcome,
        a.error_type,
        a.error_msg
    FROM (
        SELECT
            count(*) AS legs,
            -- Legs after the end are the same request again, which the network delivered twice.
            sum(latency_us) FILTER (WHERE finals = 0 OR finals = 1 AND is_final)::bigint
                AS server_us,
            min(ts * 1000 + latency_us) FILTER (WHERE finals = 1 AND is_final) AS end_us,
            min(ts + latency_us / 1000) FILTER (WHERE finals = 1 AND is_final) AS ended_ts,
            min(outcome) FILTER (WHERE finals = 1 AND is_final) AS outcome,
            min(error_type) FILTER (WHERE finals = 1 AND is_final) AS error_type,
            min(error_msg) FILTER (WHERE finals = 1 AND is_final) AS error_msg
        FROM (
            SELECT *, count(*) FILTER (WHERE is_final)
                OVER (ORDER BY n ROWS UNBOUNDED PRECEDING) AS finals
            FROM mcp_store_legs(f.request_id) WITH ORDINALITY
                AS l (request_id, ts, latency_us, is_final, outcome, error_type, error_msg, n)
            -- Without this, the function is called for each request.
            WHERE f.leg = 1
        ) AS ordered
    ) AS a
) AS e ON f.leg = 1
LEFT JOIN LATERAL (
    -- The file with the row of the task has precedence over the others.
    SELECT k.operation_id, k.task_id, coalesce(k.ended_ts, o.ended_ts) AS ended_ts,
        CASE WHEN k.ended_ts IS NOT NULL THEN k.outcome ELSE o.outcome END AS outcome,
        k.error_code, k.error_msg, k.polls + o.polls AS polls
    FROM tasks AS k
    CROSS JOIN LATERAL mcp_store_task_elsewhere(
        k.task_id, k.store_id, f.proxy, f.session_id, k.caller, f.ts) AS o
    WHERE k.operation_id = f.request_id AND k.store_id = f.store_id
) AS t ON f.leg = 1
LEFT JOIN LATERAL (
    SELECT protocol_version, client_name, client_version, client_platform
    FROM store_sessions WHERE session_id = f.session_id
    ORDER BY is_guest, started_at, store_id LIMIT 1
) AS s ON true;

-- The calls of each tool whose requests are in the database. A percentile is the highest
-- time of those that share its first three digits: at most 1 % above the nearest rank.
CREATE VIEW tool_stats AS
SELECT
    proxy,
    gen_ai_tool_name,
    sum(calls)::bigint AS calls,
    sum(errors)::bigint AS errors,
    sum(timeouts)::bigint AS timeouts,
    sum(tool_errors)::bigint AS tool_errors,
    sum(caller_errors)::bigint AS caller_errors,
    sum(gone)::bigint AS gone,
    sum(open)::bigint AS open,
    (sum(server_total) / nullif(sum(timed), 0) / 1e6)::double precision AS mean_duration,
    min(server_us) FILTER (WHERE rank >= (all_timed * 50 + 99) / 100) / 1e6::double precision
        AS p50_duration,
    min(server_us) FILTER (WHERE rank >= (all_timed * 95 + 99) / 100) / 1e6::double precision
        AS p95_duration,
    min(server_us) FILTER (WHERE rank >= (all_timed * 99 + 99) / 100) / 1e6::double precision
        AS p99_duration,
    max(server_us) / 1e6::double precision AS max_duration,
    min(wall_us) FILTER (WHERE wall_rank >= (all_wall_timed * 50 + 99) / 100)
        / 1e6::double precision AS wall_p50_duration,
    min(wall_us) FILTER (WHERE wall_rank >= (all_wall_timed * 95 + 99) / 100)
        / 1e6::double precision AS wall_p95_duration,
    min(wall_us) FILTER (WHERE wall_rank >= (all_wall_timed * 99 + 99) / 100)
        / 1e6::double precision AS wall_p99_duration,
    max(wall_us) / 1e6::double precision AS wall_max_duration,
    mcp_store_time(min(first_ts)) AS first_call,
    mcp_store_time(max(last_ts)) AS last_call
FROM (
    SELECT *,
        (sum(timed) OVER (PARTITION BY proxy, gen_ai_tool_name))::bigint AS all_timed,
        (sum(timed) OVER (PARTITION BY proxy, gen_ai_tool_name
            ORDER BY server NULLS FIRST))::bigint AS rank,
        (sum(wall_timed) OVER (PARTITION BY proxy, gen_ai_tool_name))::bigint
            AS all_wall_timed,
        (sum(wall_timed) OVER (PARTITION BY proxy, gen_ai_tool_name
            ORDER BY wall NULLS FIRST))::bigint AS wall_rank
    FROM (
        SELECT proxy, gen_ai_tool_name,
            mcp_store_three_digits(server_us) AS server,
            mcp_store_three_digits(wall_us) AS wall,
            count(*) AS calls,
            count(*) FILTER (WHERE outcome IN ('error', 'timeout')) AS errors,
            count(*) FILTER (WHERE outcome = 'timeout') AS timeouts,
            count(*) FILTER (WHERE outcome = 'tool_error') AS tool_errors,
            count(*) FILTER (WHERE outcome = 'caller_error') AS caller_errors,
            count(*) FILTER (WHERE outcome = 'gone') AS gone,
            count(*) FILTER (WHERE ended_ts IS NULL) AS open,
            count(server_us) AS timed,
            sum(server_us) AS server_total,
            max(server_us) AS server_us,
            count(wall_us) AS wall_timed,
            max(wall_us) AS wall_us,
            min(ts) AS first_ts,
            max(ts) AS last_ts
        FROM operations WHERE gen_ai_tool_name IS NOT NULL
        GROUP BY proxy, gen_ai_tool_name, 3, 4
    ) AS counted
) AS ranked GROUP BY proxy, gen_ai_tool_name;

-- Hourly counts, also of requests that were removed: `request_rollups` of the files, and the
-- requests that are not in it yet.
CREATE VIEW hourly_stats AS
SELECT
    to_char(to_timestamp(start / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        AS time,
    start AS ts,
    proxy,
    method AS mcp_method_name,
    nullif(tool, '') AS gen_ai_tool_name,
    mcp_store_bounded(sum(calls)) AS calls,
    mcp_store_bounded(sum(ended)) AS ended,
    mcp_store_bounded(sum(ended) FILTER (WHERE outcome IN ('error', 'timeout'))) AS errors,
    mcp_store_bounded(sum(ended) FILTER (WHERE outcome = 'timeout')) AS timeouts,
    mcp_store_bounded(sum(ended) FILTER (WHERE outcome = 'tool_error')) AS tool_errors,
    mcp_store_bounded(sum(ended) FILTER (WHERE outcome = 'caller_error')) AS caller_errors,
    mcp_store_bounded(sum(ended) FILTER (WHERE outcome = 'gone')) AS gone,
    max(max_latency_us) / 1e6::double precision AS max_duration,
    max(max_wall_us) / 1e6::double precision AS wall_max_duration,
    mcp_store_bounded(sum(bytes_in)) AS http_request_body_size,
    mcp_store_bounded(sum(bytes_out)) AS http_response_body_size
FROM (
    SELECT start, proxy, method, tool, outcome, calls, ended, max_latency_us, max_wall_us,
        bytes_in, bytes_out
    FROM request_rollups WHERE width = 3600000
    UNION ALL
    SELECT ts - (ts % 3600000 + 3600000) % 3600000, proxy, method, coalesce(tool, ''), outcome,
        CASE WHEN coalesce(leg, 1) = 1 THEN 1 ELSE 0 END,
        CASE WHEN ends THEN 1 ELSE 0 END,
        CASE WHEN ends AND end_reason IS DISTINCT FROM 'stream_end'
            THEN coalesce(operation_us, latency_us) ELSE 0 END,
        CASE WHEN ends AND end_reason IS DISTINCT FROM 'stream_end'
            THEN greatest(coalesce(operation_us, latency_us),
                coalesce((ts - first_ts) * 1000 + latency_us, 0)) ELSE 0 END,
        bytes_in, bytes_out
    FROM (
        SELECT *,
            CASE WHEN leg IS NULL THEN outcome NOT IN ('input_required', 'working')
                ELSE operation_us IS NOT NULL END AS ends,
            CASE WHEN leg > 1 AND operation_us IS NOT NULL
                THEN mcp_store_began(operation_id) END AS first_ts
        FROM (
            SELECT r.ts, r.proxy, r.method, r.tool, r.leg, r.latency_us, r.end_reason,
                r.bytes_in, r.bytes_out, r.operation_id,
                CASE WHEN r.leg IS NOT NULL THEN r.operation_us END AS operation_us,
                mcp_store_outcome(r.status, r.tool_error, r.end_reason, r.error_code,
                    r.http_status) AS outcome
            -- So that the index of rows is used, of which these are the last: OFFSET keeps the
            -- subquery, and the upper bound makes PostgreSQL expect few rows.
            FROM sources AS s
            CROSS JOIN LATERAL (
                SELECT * FROM requests
                WHERE store_id = s.store_id AND id > s.rolled_up_to AND id < 9223372036854775807
                OFFSET 0
            ) AS r
        ) AS younger
    ) AS younger
    UNION ALL
    SELECT t.ended_ts - (t.ended_ts % 3600000 + 3600000) % 3600000, f.proxy, f.method,
        coalesce(f.tool, ''), t.outcome, 0, 1, 0,
        CASE WHEN t.rolled_up_as IS NULL THEN greatest(0, (t.ended_ts - f.ts) * 1000) ELSE 0 END,
        0, 0
    FROM tasks AS t
    JOIN requests AS f ON f.request_id = t.operation_id AND f.store_id = t.store_id
    JOIN sources AS s ON s.store_id = t.store_id
    WHERE t.ended_ts IS NOT NULL AND t.rolled_up_as IS DISTINCT FROM t.outcome
        -- A file removes a task after it counted it in a cell, and both may happen before it
        -- is shipped again.
        AND f.ts >= coalesce(s.requests_pruned_to, f.ts)
    UNION ALL
    SELECT t.ended_ts - (t.ended_ts % 3600000 + 3600000) % 3600000, f.proxy, f.method,
        coalesce(f.tool, ''), t.rolled_up_as, 0, -1, 0, 0, 0, 0
    FROM tasks AS t
    JOIN requests AS f ON f.request_id = t.operation_id AND f.store_id = t.store_id
    JOIN sources AS s ON s.store_id = t.store_id
    WHERE t.ended_ts IS NOT NULL AND t.rolled_up_as IS DISTINCT FROM t.outcome
        AND f.ts >= coalesce(s.requests_pruned_to, f.ts)
        AND t.rolled_up_as IS NOT NULL
) AS cells GROUP BY start, proxy, method, tool;

-- The clients, with the sums over all of their sessions. A call may take several requests.
CREATE VIEW client_stats AS
SELECT
    client_name,
    client_platform,
    count(DISTINCT client_version) AS versions,
    count(*) AS sessions,
    count(*) FILTER (WHERE ended_at IS NULL) AS active_sessions,
    mcp_store_bounded(sum(operations)) AS calls,
    mcp_store_bounded(sum(total_calls)) AS requests,
    mcp_store_bounded(sum(total_errors)) AS request_errors,
    mcp_store_time(min(started_at)) AS first_seen,
    mcp_store_time(max(last_seen_at)) AS last_seen
FROM sessions GROUP BY client_name, client_platform;
