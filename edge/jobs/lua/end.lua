-- Ends a job, and tells its followers.
-- id, attempt or '' for whichever, state, outcome -> 1, or 0 when it is too late
local job = redis.call('HMGET', job_key(ARGV[1]), 'state', 'attempt')
if job[1] ~= 'waiting' and job[1] ~= 'running' then return 0 end
if ARGV[2] ~= '' and (ARGV[2] ~= job[2] or job[1] ~= 'running') then return 0 end
end_job(ARGV[1], ARGV[3], ARGV[4])
return 1
