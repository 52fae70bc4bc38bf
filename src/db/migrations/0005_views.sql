-- Views for programs such as sqlite3, Datasette and Grafana. Columns have the names of
-- OpenTelemetry's conventions for MCP if there is one, with `_` for each `.`. Times are text
-- in UTC, and durations are seconds. Each computed column has a cast, so that it has a
-- type. If the user has a view or table of one of these names, it stays.
--
-- `steps.rs` replaces names in braces with the expressions of `outcome.rs` and with the
-- query of `0005_operations.sql`. `tool_stats` does not select from the view `operations`,
-- because the user may have a table of this name.

-- Each request.
CREATE VIEW IF NOT EXISTS calls AS
SELECT
    r.id,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', r.ts / 1000.0, 'unixepoch') AS TEXT) AS time,
    r.ts,
    r.proxy,
    r.method AS mcp_method_name,
    r.tool AS gen_ai_tool_name,
    CAST(CASE WHEN r.method = 'prompts/get' THEN r.target END AS TEXT) AS gen_ai_prompt_name,
    CAST(CASE WHEN r.method GLOB 'resources/*' THEN r.target END AS TEXT) AS mcp_resource_uri,
    CAST(r.latency_us / 1e6 AS REAL) AS mcp_server_operation_duration,
    r.status,
    CAST(r.outcome AS TEXT) AS outcome,
    CAST(r.error_type AS TEXT) AS error_type,
    r.error_code AS rpc_response_status_code,
    r.error_msg AS error_message,
    r.end_reason,
    r.http_status AS http_response_status_code,
    r.bytes_in AS http_request_body_size,
    r.bytes_out AS http_response_body_size,
    r.session_id AS mcp_session_id,
    CAST(coalesce(r.protocol_version, s.protocol_version) AS TEXT) AS mcp_protocol_version,
    s.client_name,
    s.client_version,
    s.client_platform,
    r.principal AS enduser_id,
    r.trace_id,
    r.parent_span_id,
    r.rpc_id AS jsonrpc_request_id,
    r.request_id,
    r.operation_id,
    r.leg
FROM (
    SELECT id, ts, proxy, method, tool, target, latency_us, status, error_code, error_msg,
        end_reason, http_status, bytes_in, bytes_out, session_id, protocol_version, principal,
        trace_id, parent_span_id, rpc_id, request_id, operation_id, leg, outcome,
        {error_type} AS error_type
    FROM (
        SELECT id, ts, proxy, method, tool, target, latency_us, status, error_code, error_msg,
            end_reason, http_status, bytes_in, bytes_out, session_id, protocol_version,
            principal, trace_id, parent_span_id, rpc_id, request_id, operation_id, leg,
            {outcome} AS outcome
        FROM requests)
) AS r LEFT JOIN sessions AS s ON s.session_id = r.session_id;

-- Each operation; see `0005_operations.sql`.
CREATE VIEW IF NOT EXISTS operations AS
{operations};

-- The calls of each tool whose requests are in the file. Sorting all calls would take
-- several times as long, so the view first counts them by the first three digits of their
-- times. A percentile is the highest time with the same digits, which is at most 1 % above
-- the nearest rank. `rank` is the number of calls that took at most this time.
CREATE VIEW IF NOT EXISTS tool_stats AS
SELECT
    proxy,
    gen_ai_tool_name,
    CAST(sum(calls) AS INTEGER) AS calls,
    CAST(sum(errors) AS INTEGER) AS errors,
    CAST(sum(timeouts) AS INTEGER) AS timeouts,
    CAST(sum(tool_errors) AS INTEGER) AS tool_errors,
    CAST(sum(caller_errors) AS INTEGER) AS caller_errors,
    CAST(sum(gone) AS INTEGER) AS gone,
    CAST(sum(open) AS INTEGER) AS open,
    CAST(total(server_total) / sum(timed) / 1e6 AS REAL) AS mean_duration,
    CAST(min(iif(rank >= (all_timed * 50 + 99) / 100, server_us, NULL)) / 1e6 AS REAL)
        AS p50_duration,
    CAST(min(iif(rank >= (all_timed * 95 + 99) / 100, server_us, NULL)) / 1e6 AS REAL)
        AS p95_duration,
    CAST(min(iif(rank >= (all_timed * 99 + 99) / 100, server_us, NULL)) / 1e6 AS REAL)
        AS p99_duration,
    CAST(max(server_us) / 1e6 AS REAL) AS max_duration,
    CAST(min(iif(wall_rank >= (all_wall_timed * 50 + 99) / 100, wall_us, NULL)) / 1e6 AS REAL)
        AS wall_p50_duration,
    CAST(min(iif(wall_rank >= (all_wall_timed * 95 + 99) / 100, wall_us, NULL)) / 1e6 AS REAL)
        AS wall_p95_duration,
    CAST(min(iif(wall_rank >= (all_wall_timed * 99 + 99) / 100, wall_us, NULL)) / 1e6 AS REAL)
        AS wall_p99_duration,
    CAST(max(wall_us) / 1e6 AS REAL) AS wall_max_duration,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', min(first_ts) / 1000.0, 'unixepoch') AS TEXT)
        AS first_call,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', max(last_ts) / 1000.0, 'unixepoch') AS TEXT)
        AS last_call
FROM (
    SELECT *,
        sum(timed) OVER (PARTITION BY proxy, gen_ai_tool_name) AS all_timed,
        sum(timed) OVER (PARTITION BY proxy, gen_ai_tool_name ORDER BY server) AS rank,
        sum(wall_timed) OVER (PARTITION BY proxy, gen_ai_tool_name) AS all_wall_timed,
        sum(wall_timed) OVER (PARTITION BY proxy, gen_ai_tool_name ORDER BY wall) AS wall_rank
    FROM (
        SELECT proxy, gen_ai_tool_name,
            CASE
                WHEN server_us < 1000 THEN server_us
                WHEN server_us < 10000 THEN server_us / 10 * 10
                WHEN server_us < 100000 THEN server_us / 100 * 100
                WHEN server_us < 1000000 THEN server_us / 1000 * 1000
                WHEN server_us < 10000000 THEN server_us / 10000 * 10000
                ELSE server_us / 100000 * 100000
            END AS server,
            CASE
                WHEN wall_us < 1000 THEN wall_us
                WHEN wall_us < 10000 THEN wall_us / 10 * 10
                WHEN wall_us < 100000 THEN wall_us / 100 * 100
                WHEN wall_us < 1000000 THEN wall_us / 1000 * 1000
                WHEN wall_us < 10000000 THEN wall_us / 10000 * 10000
                ELSE wall_us / 100000 * 100000
            END AS wall,
            count(*) AS calls,
            sum(outcome IN ('error', 'timeout')) AS errors,
            sum(outcome = 'timeout') AS timeouts,
            sum(outcome = 'tool_error') AS tool_errors,
            sum(outcome = 'caller_error') AS caller_errors,
            sum(outcome = 'gone') AS gone,
            sum(ended_ts IS NULL) AS open,
            count(server_us) AS timed,
            total(server_us) AS server_total,
            max(server_us) AS server_us,
            count(wall_us) AS wall_timed,
            max(wall_us) AS wall_us,
            min(ts) AS first_ts,
            max(ts) AS last_ts
        FROM ({operations}) WHERE gen_ai_tool_name IS NOT NULL
        GROUP BY proxy, gen_ai_tool_name, 3, 4
    )
) GROUP BY proxy, gen_ai_tool_name;

-- Statistics of each hour, also of requests that were removed. The view adds the cells and
-- the requests and tasks that are in no cell yet. A call counts in the hour in which it
-- began. `ended` and its outcome count in the hour in which it ended. A sum beyond the
-- range of integers becomes the highest integer; sum() would fail.
CREATE VIEW IF NOT EXISTS hourly_stats AS
SELECT
    CAST(strftime('%Y-%m-%dT%H:%M:%SZ', start / 1000, 'unixepoch') AS TEXT) AS time,
    CAST(start AS INTEGER) AS ts,
    CAST(proxy AS TEXT) AS proxy,
    CAST(method AS TEXT) AS mcp_method_name,
    CAST(nullif(tool, '') AS TEXT) AS gen_ai_tool_name,
    CAST(total(calls) AS INTEGER) AS calls,
    CAST(total(ended) AS INTEGER) AS ended,
    CAST(total(iif(outcome IN ('error', 'timeout'), ended, 0)) AS INTEGER) AS errors,
    CAST(total(iif(outcome = 'timeout', ended, 0)) AS INTEGER) AS timeouts,
    CAST(total(iif(outcome = 'tool_error', ended, 0)) AS INTEGER) AS tool_errors,
    CAST(total(iif(outcome = 'caller_error', ended, 0)) AS INTEGER) AS caller_errors,
    CAST(total(iif(outcome = 'gone', ended, 0)) AS INTEGER) AS gone,
    CAST(max(max_latency_us) / 1e6 AS REAL) AS max_duration,
    CAST(max(max_wall_us) / 1e6 AS REAL) AS wall_max_duration,
    CAST(total(bytes_in) AS INTEGER) AS http_request_body_size,
    CAST(total(bytes_out) AS INTEGER) AS http_response_body_size
FROM (
    SELECT start, proxy, method, tool, outcome, calls, ended, max_latency_us, max_wall_us,
        bytes_in, bytes_out
    FROM request_rollups WHERE width = 3600000
    UNION ALL
    SELECT ts - (ts % 3600000 + 3600000) % 3600000, proxy, method, coalesce(tool, ''), outcome,
        coalesce(leg, 1) = 1, ends,
        iif(ends AND end_reason IS NOT 'stream_end', coalesce(operation_us, latency_us), 0),
        iif(ends AND end_reason IS NOT 'stream_end', max(coalesce(operation_us, latency_us),
            coalesce((ts - first_ts) * 1000 + latency_us, 0)), 0),
        bytes_in, bytes_out
    FROM (
        SELECT ts, proxy, method, tool, outcome, leg, operation_us, latency_us, end_reason,
            bytes_in, bytes_out, operation_id,
            CASE WHEN leg IS NULL THEN outcome NOT IN ('input_required', 'working')
                ELSE operation_us IS NOT NULL END AS ends,
            CASE WHEN leg > 1 AND operation_us IS NOT NULL THEN (
                SELECT f.ts FROM requests AS f WHERE f.request_id = newer.operation_id
            ) END AS first_ts
        FROM (
            SELECT ts, proxy, method, tool, leg, iif(leg IS NULL, NULL, operation_us)
                    AS operation_us, latency_us, end_reason, bytes_in, bytes_out, operation_id,
                {outcome} AS outcome
            FROM requests
            WHERE id > coalesce((SELECT CAST(value AS INTEGER) FROM meta
                WHERE key = 'requests_rolled_up_to'), 0)
        ) AS newer
    )
    UNION ALL
    SELECT t.ended_ts - (t.ended_ts % 3600000 + 3600000) % 3600000, f.proxy, f.method,
        coalesce(f.tool, ''), t.outcome, 0, 1, 0,
        iif(t.rolled_up_as IS NULL, max(0, (t.ended_ts - f.ts) * 1000), 0), 0, 0
    FROM tasks AS t CROSS JOIN requests AS f ON f.request_id = t.operation_id
    WHERE t.ended_ts IS NOT NULL AND t.rolled_up_as IS NOT t.outcome
    UNION ALL
    SELECT t.ended_ts - (t.ended_ts % 3600000 + 3600000) % 3600000, f.proxy, f.method,
        coalesce(f.tool, ''), t.rolled_up_as, 0, -1, 0, 0, 0, 0
    FROM tasks AS t CROSS JOIN requests AS f ON f.request_id = t.operation_id
    WHERE t.ended_ts IS NOT NULL AND t.rolled_up_as IS NOT t.outcome AND t.rolled_up_as IS NOT NULL
) GROUP BY start, proxy, method, tool;

-- The clients and their sessions. A call may take several requests.
CREATE VIEW IF NOT EXISTS client_stats AS
SELECT
    client_name,
    client_platform,
    CAST(count(DISTINCT client_version) AS INTEGER) AS versions,
    CAST(count(*) AS INTEGER) AS sessions,
    CAST(sum(ended_at IS NULL) AS INTEGER) AS active_sessions,
    CAST(sum(operations) AS INTEGER) AS calls,
    CAST(sum(total_calls) AS INTEGER) AS requests,
    CAST(sum(total_errors) AS INTEGER) AS request_errors,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', min(started_at) / 1000.0, 'unixepoch') AS TEXT)
        AS first_seen,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', max(last_seen_at) / 1000.0, 'unixepoch') AS TEXT)
        AS last_seen
FROM sessions GROUP BY client_name, client_platform;
