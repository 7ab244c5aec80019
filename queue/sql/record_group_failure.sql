-- breaker::blame
INSERT INTO queue.breakers AS breaker (group_key, failures, failed_at, class, message)
VALUES ($1, 1, now(), $2, $3)
ON CONFLICT (group_key) DO UPDATE
   SET failures = CASE WHEN breaker.opened_at IS NOT NULL THEN breaker.failures
                       WHEN breaker.failed_at NOT BETWEEN now() - interval '10 minutes' AND now() + interval '1 minute' THEN 1
                       ELSE breaker.failures + 1 END,
       probes = breaker.probes + CASE WHEN breaker.opened_at IS NULL THEN 0 ELSE 1 END,
       failed_at = now(), class = excluded.class, message = excluded.message
 WHERE breaker.opened_at IS NULL OR breaker.probe_at <= $4
RETURNING failures, probes, opened_at IS NOT NULL
