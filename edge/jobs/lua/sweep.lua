-- Ends jobs of a pool that are past their deadline or that no client waits for.
-- args: pool
-- reply: how many wait and may begin, and how many are live
local at, pool = now(), args.pool
for _, id in ipairs(redis.call('ZRANGE', live_key(pool), 0, -1)) do
  local job = fields_of(job_key(id), 'state', 'expires', 'kept', 'watched', 'missed',
                        'score')
  if not job.score then job.kept = '0' end  -- nobody else will put it into the queue
  if job.state ~= 'waiting' and job.state ~= 'running' then
    leave_pool(id, pool)
  elseif tonumber(job.expires) < at then
    end_job(id, 'expired', failed('deadline_exceeded', LATE))
  elseif job.state == 'waiting' and is_forgotten(id, job, at) then
    end_job(id, 'cancelled', failed('cancelled', LEFT))
  end
end
local is_paused = redis.call('EXISTS', paused_key(pool)) == 1
return {is_paused and 0 or redis.call('ZCARD', waiting_key(pool)),
        redis.call('ZCARD', live_key(pool))}
