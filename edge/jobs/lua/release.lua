-- Gives up a running job for another worker, because this one stops; a job that cannot
-- be tried again ends with `outcome`.
-- args: job_id, attempt, outcome
local id = args.job_id
local job = fields_of(job_key(id), 'state', 'attempt', 'pool', 'streams', 'score')
if job.state ~= 'running' or tonumber(job.attempt) ~= args.attempt then return end
if job.streams == '1' and has_shown(id, job.attempt) then
  end_job(id, 'failed', args.outcome)
else
  try_again(id, job.pool, job)
end
