-- Moves the first waiting job of a pool to running.
-- args: pool, may_be_suspect
-- reply: job_id, attempt, request, seconds_left, is_suspect; 'later' when the first has
--        to run alone; nil when none waits, or the pool is paused
if redis.call('EXISTS', paused_key(args.pool)) == 1 then return nil end
local waiting, at = waiting_key(args.pool), now()
while true do
  local id = redis.call('ZRANGE', waiting, 0, 0)[1]
  if not id then return nil end
  local job = fields_of(job_key(id), 'state', 'expires', 'kept', 'watched', 'missed',
                        'content', 'request', 'schema', 'culprit')
  local n_deaths, n_guilty = deaths_of(job), guilt_of(job)
  local is_suspect = n_deaths > 0 or n_guilty > 0
  if job.state ~= 'waiting' then
    redis.call('ZREM', waiting, id)
  elseif tonumber(job.expires) < at then
    end_job(id, 'expired', failed('deadline_exceeded', LATE))
  elseif is_forgotten(id, job, at) then
    end_job(id, 'cancelled', failed('cancelled', LEFT))
  elseif is_quarantined(n_deaths, n_guilty) then
    end_job(id, 'failed', failed('request_quarantined', QUARANTINED))
  elseif is_suspect and not args.may_be_suspect then
    return 'later'
  else
    redis.call('HSET', job_key(id), 'state', 'running', 'started', at,
               'suspect', is_suspect and 1 or 0)
    redis.call('ZREM', waiting, id)
    redis.call('ZADD', running_key(args.pool), at + LEASE_S, id)
    return reply({job_id = id, attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1),
                  request = job.request, seconds_left = job.expires - at,
                  is_suspect = is_suspect})
  end
end
