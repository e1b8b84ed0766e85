-- Jobs of a pool whose lease ran out: their worker is gone, and perhaps they did it.
-- pool -> how many wait again
local pool, at, n_again = ARGV[1], now(), 0
local running = set_of('running', pool)

-- One death is one, however many asked the same: only who began after the last one can
-- have died of another.
local function count_death(content, started)
  local last = redis.call('GET', 'edge:death:' .. content)
  if last and tonumber(started) <= tonumber(last) then return end
  redis.call('SET', 'edge:death:' .. content, at, 'EX', QUARANTINE_S)
  redis.call('INCR', deaths_key(content))
  redis.call('EXPIRE', deaths_key(content), QUARANTINE_S)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', running, '-inf', at)) do
  local job = redis.call('HMGET', job_key(id), 'state', 'attempt', 'streams', 'place',
                         'content', 'started')
  if job[1] ~= 'running' then
    redis.call('ZREM', running, id)
  else
    count_death(job[5], job[6])
    if deaths_of(job[5]) >= MOST_DEATHS then
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
