-- Retries or ends the jobs of a pool whose lease has run out: their worker is lost, and
-- one of them may be the cause.
-- args: pool
-- reply: how many wait again
local at, running, n_again = now(), running_key(args.pool), 0
local n_running = redis.call('ZCARD', running)

local blamed  -- what the job at hand is blamed with, until its worker is seen again

local function count(key)
  redis.call('INCR', key)
  redis.call('EXPIRE', key, QUARANTINE_S)
  blamed[#blamed + 1] = key
end

-- One death counts once, however many equal jobs ran: only a job that began after the
-- latest counted death can have caused another.
local function count_death(cause, started)
  local latest = redis.call('GET', death_at_key(cause))
  if latest and tonumber(started) <= tonumber(latest) then return end
  redis.call('SET', death_at_key(cause), at, 'EX', QUARANTINE_S)
  count(deaths_key(cause))
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', at)) do
  local job = fields_of(job_key(id), 'state', 'attempt', 'streams', 'score', 'content',
                        'started', 'schema', 'suspect', 'culprit', 'claim')
  if job.state ~= 'running' then
    redis.call('ZREM', running, id)
  else
    blamed = {}
    count_death(job.content, job.started)
    if (job.schema or '') ~= '' then
      count_death(schema_cause(job.schema), job.started)
    end
    -- Suspects run alone: no other job can be the cause.
    if job.suspect == '1' or n_running == 1 then count(guilt_key(job.culprit)) end
    redis.call('HSET', job_key(id), 'blamed',
               cjson.encode({attempt = job.attempt, claim = job.claim, keys = blamed}))
    if is_quarantined(deaths_of(job), guilt_of(job)) then
      end_job(id, 'failed', failed('request_quarantined', QUARANTINED))
    elseif job.streams == '1' and has_shown(id, job.attempt) then
      end_job(id, 'failed', failed('worker_lost', DIED))
    else
      try_again(id, args.pool, job)
      n_again = n_again + 1
    end
  end
end
return n_again
