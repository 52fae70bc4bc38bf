-- One row for each operation, with all of its rounds of input and polls. `f` is its first
-- request. Most operations have no other request. `e` is the request that ended an
-- operation of several requests, and `t` is its task. An operation that has not ended has
-- no `ended_ts` and no times. A task has only a wall time. A stream (`stream_end`) has no
-- times.
SELECT
    f.request_id AS operation_id,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL OR f.outcome = 'working' THEN 'task'
        WHEN f.leg = 1 THEN 'multi_round'
        ELSE 'single'
    END AS TEXT) AS kind,
    f.proxy,
    f.method AS mcp_method_name,
    f.tool AS gen_ai_tool_name,
    CAST(CASE WHEN f.method = 'prompts/get' THEN f.target END AS TEXT) AS gen_ai_prompt_name,
    CAST(CASE WHEN f.method GLOB 'resources/*' THEN f.target END AS TEXT) AS mcp_resource_uri,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', f.ts / 1000.0, 'unixepoch') AS TEXT) AS time,
    f.ts,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL THEN t.ended_ts
        WHEN f.leg = 1 THEN e.ts + e.latency_us / 1000
        WHEN f.outcome NOT IN ('input_required', 'working') THEN f.ts + f.latency_us / 1000
    END AS INTEGER) AS ended_ts,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL THEN max(0, (t.ended_ts - f.ts) * 1000)
        WHEN f.leg = 1 THEN max(e.operation_us, (e.ts - f.ts) * 1000 + e.latency_us)
        WHEN f.outcome NOT IN ('input_required', 'working') AND f.end_reason IS NOT 'stream_end'
            THEN f.latency_us
    END AS INTEGER) AS wall_us,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL THEN NULL
        WHEN f.leg = 1 THEN e.operation_us
        WHEN f.outcome NOT IN ('input_required', 'working') AND f.end_reason IS NOT 'stream_end'
            THEN f.latency_us
    END AS INTEGER) AS server_us,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL THEN NULL
        WHEN f.leg = 1 THEN max(0, (e.ts - f.ts) * 1000 + e.latency_us - e.operation_us)
        WHEN f.outcome NOT IN ('input_required', 'working') AND f.end_reason IS NOT 'stream_end'
            THEN 0
    END AS INTEGER) AS client_us,
    CAST(CASE
        WHEN f.leg = 1
            THEN (SELECT count(*) FROM requests AS l WHERE l.operation_id = f.request_id)
        ELSE 1
    END AS INTEGER) AS legs,
    CAST(coalesce(t.polls, 0) AS INTEGER) AS polls,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL
            THEN coalesce(iif(t.ended_ts IS NOT NULL, t.outcome, NULL), 'working')
        WHEN f.leg = 1 THEN coalesce(e.outcome, f.outcome)
        ELSE f.outcome
    END AS TEXT) AS outcome,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL THEN iif(t.ended_ts IS NOT NULL, t.error_type, NULL)
        WHEN f.leg = 1 THEN e.error_type
        ELSE f.error_type
    END AS TEXT) AS error_type,
    CAST(CASE
        WHEN t.operation_id IS NOT NULL THEN t.error_msg
        WHEN f.leg = 1 THEN e.error_msg
        ELSE f.error_msg
    END AS TEXT) AS error_message,
    CAST(coalesce(t.task_id, f.task_id) AS TEXT) AS task_id,
    f.session_id AS mcp_session_id,
    CAST(coalesce(f.protocol_version, s.protocol_version) AS TEXT) AS mcp_protocol_version,
    s.client_name,
    s.client_version,
    s.client_platform,
    f.principal AS enduser_id,
    f.trace_id
FROM (
    SELECT id, request_id, ts, proxy, method, tool, target, latency_us, error_msg, end_reason,
        session_id, protocol_version, principal, trace_id, task_id, leg, outcome,
        {error_type} AS error_type,
        CASE WHEN leg = 1 THEN (
            SELECT l.id FROM requests AS l
            WHERE l.operation_id = first.request_id AND l.operation_us IS NOT NULL
            ORDER BY l.leg LIMIT 1
        ) END AS last_id
    FROM (
        SELECT id, request_id, ts, proxy, method, tool, target, latency_us, error_code,
            error_msg, end_reason, http_status, session_id, protocol_version, principal,
            trace_id, task_id, leg,
            {outcome} AS outcome
        FROM requests WHERE coalesce(leg, 1) = 1
    ) AS first
) AS f
LEFT JOIN (
    SELECT id, ts, latency_us, operation_us, error_msg, outcome,
        {error_type} AS error_type
    FROM (
        SELECT id, ts, latency_us, operation_us, error_code, error_msg, end_reason, http_status,
            {outcome} AS outcome
        FROM requests)
) AS e ON e.id = f.last_id
LEFT JOIN (
    SELECT operation_id, task_id, ended_ts, outcome, error_msg, polls,
        {error_type} AS error_type
    FROM (
        SELECT operation_id, task_id, ended_ts, outcome, error_code, error_msg, polls,
            CASE WHEN outcome = 'gone' THEN 'cancelled' END AS end_reason,
            NULL AS http_status
        FROM tasks)
) AS t ON t.operation_id = CASE WHEN f.leg = 1 THEN f.request_id END
LEFT JOIN sessions AS s ON s.session_id = f.session_id
