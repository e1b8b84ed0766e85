-- Ends a job, and tells its followers. An answer is everybody's who waits for the same.
-- id, attempt or '' for whichever, state, outcome -> 1, or 0 when it is too late
local job = redis.call('HMGET', job_key(ARGV[1]), 'state', 'attempt', 'pool', 'content')
if job[1] ~= 'waiting' and job[1] ~= 'running' then return 0 end
if ARGV[2] ~= '' and (ARGV[2] ~= job[2] or job[1] ~= 'running') then return 0 end
end_job(ARGV[1], ARGV[3], ARGV[4])
if ARGV[3] == 'finished' then -- so is whoever waits with the same question
  for _, id in ipairs(redis.call('ZRANGE', set_of('waiting', job[3]), 0, -1)) do
    local other = redis.call('HMGET', job_key(id), 'content', 'shares')
    if other[1] == job[4] and other[2] == '1' then end_job(id, ARGV[3], ARGV[4]) end
  end
end
return 1
