DROP INDEX IF EXISTS idx_requests_slow;

ALTER TABLE requests RENAME COLUMN latency_ms TO latency_us;
UPDATE requests SET latency_us = latency_us * 1000;

CREATE INDEX idx_requests_slow ON requests (proxy, latency_us DESC, ts);
