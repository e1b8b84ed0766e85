-- The jobs of a pool in the order of their start: the running ones, then the waiting.
-- args: pool
-- reply: [{job_id, elapsed_s (absent: it waits), prompt_tokens, image_tokens,
--          max_tokens (absent: not known yet)} ...]
local at, jobs = now(), {}
for _, key in ipairs({running_key(args.pool), waiting_key(args.pool)}) do
  for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local job = fields_of(job_key(id), 'started', 'prompt_tokens', 'image_tokens',
                          'max_tokens')
    local is_running = key == running_key(args.pool)
    local elapsed_s = is_running and at - (job.started or at) or nil
    jobs[#jobs + 1] = reply({job_id = id, elapsed_s = elapsed_s,
                             prompt_tokens = job.prompt_tokens,
                             image_tokens = job.image_tokens,
                             max_tokens = job.max_tokens})
  end
end
return jobs
