-- Ends jobs of a pool that are late or that nobody waits for.
-- pool -> how many wait
local pool, at = ARGV[1], now()
local live, waiting = set_of('live', pool), set_of('waiting', pool)
for _, id in ipairs(redis.call('ZRANGE', live, 0, -1)) do
  local job = redis.call('HMGET', job_key(id), 'state', 'expires', 'kept', 'watched')
  if job[1] ~= 'waiting' and job[1] ~= 'running' then
    for _, kind in ipairs({'live', 'waiting', 'running'}) do
      redis.call('ZREM', set_of(kind, pool), id)
    end
  elseif tonumber(job[2]) < at then
    end_job(id, 'expired', failed('deadline_exceeded', LATE))
  elseif job[1] == 'waiting' and is_forgotten(job[3], job[4], at) then
    end_job(id, 'cancelled', failed('cancelled', LEFT))
  end
end
return redis.call('ZCARD', waiting)
