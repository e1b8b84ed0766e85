-- A worker that stops gives up a running job, through no fault of the job.
-- id, attempt, outcome if it cannot be tried again
local id, attempt = ARGV[1], ARGV[2]
local job = redis.call('HMGET', job_key(id), 'state', 'attempt', 'pool', 'streams',
                       'place')
if job[1] ~= 'running' or job[2] ~= attempt then return end
if job[4] == '1' and has_shown(id, attempt) then
  end_job(id, 'failed', ARGV[3])
else
  try_again(id, job[3], attempt, job[5])
end
