-- Jobs of a pool whose lease ran out: their worker is gone, and perhaps they did it.
-- pool -> how many wait again
local pool, at, n_again = ARGV[1], now(), 0
local running = set_of('running', pool)
local n_running = redis.call('ZCARD', running)

local function count(key)
  redis.call('INCR', key)
  redis.call('EXPIRE', key, QUARANTINE_S)
end

-- One death counts once, however many asked the same: only a job that began after the
-- last one can have caused another.
local function count_death(key, started)
  local last = redis.call('GET', key .. ':last')
  if last and tonumber(started) <= tonumber(last) then return end
  redis.call('SET', key .. ':last', at, 'EX', QUARANTINE_S)
  count(key)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', at)) do
  local job = redis.call('HMGET', job_key(id), 'state', 'attempt', 'streams', 'place',
                         'content', 'started', 'schema', 'suspect', 'culprit')
  if job[1] ~= 'running' then
    redis.call('ZREM', running, id)
  else
    count_death(deaths_key(job[5]), job[6])
    if job[7] and job[7] ~= '' then count_death(schema_key(job[7]), job[6]) end
    -- Suspects run alone: nobody else can have done it.
    if job[8] == '1' or n_running == 1 then count(guilt_key(job[9])) end
    if is_quarantined(job[5], job[7], job[9]) then
      end_job(id, 'failed', failed('request_quarantined', QUARANTINED))
    elseif job[3] == '1' and has_shown(id, job[2]) then
      end_job(id, 'failed', failed('worker_lost', DIED))
    else
      try_again(id, pool, job[2], job[4])
      n_again = n_again + 1
    end
  end
end
return n_again
