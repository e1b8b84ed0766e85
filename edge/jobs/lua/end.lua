-- Ends a job, and tells its followers. An answer is given to all that wait for the same
-- one under the same name.  id, attempt or '' for any, state, outcome
-- -> 1, or 0 when it is too late
local job = redis.call('HMGET', job_key(ARGV[1]), 'state', 'attempt', 'pool', 'shares')
if job[1] ~= 'waiting' and job[1] ~= 'running' then return 0 end
if ARGV[2] ~= '' and (ARGV[2] ~= job[2] or job[1] ~= 'running') then return 0 end
end_job(ARGV[1], ARGV[3], ARGV[4])
if ARGV[3] == 'finished' and job[4] and job[4] ~= '' then
  for _, id in ipairs(redis.call('ZRANGE', set_of('waiting', job[3]), 0, -1)) do
    if redis.call('HGET', job_key(id), 'shares') == job[4] then
      end_job(id, ARGV[3], ARGV[4], true)
    end
  end
end
return 1
