-- Ends a job and tells its followers. An answer also ends the waiting jobs that share it
-- under the same name.
-- args: job_id, attempt (absent: any), state, outcome
-- reply: 1, or 0 when the job has ended or this attempt does not run any more
local job = fields_of(job_key(args.job_id), 'state', 'attempt', 'pool', 'shares')
local is_running = job.state == 'running'
local runs = is_running and args.attempt == tonumber(job.attempt)
if args.attempt and not runs then
  absolve(args.job_id, args.attempt)
  return 0
end
if not is_running and job.state ~= 'waiting' then return 0 end
end_job(args.job_id, args.state, args.outcome)
if args.state == 'finished' and (job.shares or '') ~= '' then
  for _, id in ipairs(redis.call('ZRANGE', waiting_key(job.pool), 0, -1)) do
    if redis.call('HGET', job_key(id), 'shares') == job.shares then
      end_job(id, args.state, args.outcome, true)
    end
  end
end
return 1
