-- The jobs of a pool in the order of their start: the running ones, then the waiting.
-- args: pool
-- reply: job_id, elapsed_s ('': it waits), prompt_tokens, encode_tokens, max_tokens ('':
--        not known yet), each a list with a value for every job
-- Each waiting client reads this once a second: a table for each job would cost more.
local at = now()
local ids, elapsed_s, prompt_tokens, encode_tokens, max_tokens = {}, {}, {}, {}, {}
local running = redis.call('ZRANGE', running_key(args.pool), 0, -1)
local waiting = redis.call('ZRANGE', waiting_key(args.pool), 0, -1)
for i = 1, #running + #waiting do
  local id = running[i] or waiting[i - #running]
  local job = redis.call('HMGET', job_key(id), 'started', 'prompt_tokens',
                         'encode_tokens', 'max_tokens')
  ids[i], elapsed_s[i] = id, running[i] and tostring(at - (job[1] or at)) or ''
  prompt_tokens[i], encode_tokens[i] = job[2] or '', job[3] or ''
  max_tokens[i] = job[4] or ''
end
return {'job_id', ids, 'elapsed_s', elapsed_s, 'prompt_tokens', prompt_tokens,
        'encode_tokens', encode_tokens, 'max_tokens', max_tokens}
