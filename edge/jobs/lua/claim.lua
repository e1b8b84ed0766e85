-- Moves the first waiting job of a pool to running.
-- args: pool, may_be_suspect, name (of the claim; absent: it is not sent again)
-- reply: job_id, attempt, request, seconds_left, is_suspect; 'later' when the first has
--        to run alone; nil when none waits, or the pool is paused
-- A claim whose reply was lost is sent again: it is given the same job. If that was taken
-- away meanwhile, nobody has died of it.
local function granted(id, job, at)
  return reply({job_id = id, attempt = job.attempt, request = job.request,
                seconds_left = job.expires - at, is_suspect = job.suspect})
end
for _, id in ipairs(args.name and redis.call('ZRANGE', live_key(args.pool), 0, -1) or {}) do
  local job = fields_of(job_key(id), 'state', 'attempt', 'claim', 'blamed')
  local blamed = job.blamed and cjson.decode(job.blamed) or {}
  if job.state == 'running' and job.claim == args.name then
    local at = now()
    redis.call('ZADD', running_key(args.pool), at + LEASE_S, id)
    return granted(id, fields_of(job_key(id), 'attempt', 'request', 'expires', 'suspect'),
                   at)
  elseif blamed.claim == args.name then
    absolve(id, tonumber(blamed.attempt))
  end
end
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
    job.suspect = is_suspect and 1 or 0
    redis.call('HSET', job_key(id), 'state', 'running', 'started', at,
               'suspect', job.suspect, 'claim', args.name or '')
    redis.call('ZREM', waiting, id)
    redis.call('ZADD', running_key(args.pool), at + LEASE_S, id)
    job.attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
    return granted(id, job, at)
  end
end
