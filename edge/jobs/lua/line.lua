-- The running and the waiting jobs of a pool, in the order of their start.
-- pool -> {{elapsed, prompt, image, max_tokens} ...}, {{id, prompt, ...} ...}
local at, line = now(), {{}, {}}
for i, kind in ipairs({'running', 'waiting'}) do
  for _, id in ipairs(redis.call('ZRANGE', set_of(kind, ARGV[1]), 0, -1)) do
    local job = redis.call('HMGET', job_key(id), 'started', 'prompt', 'image', 'most')
    local first = kind == 'waiting' and id or tostring(at - (job[1] or at))
    table.insert(line[i], {first, job[2] or '', job[3] or '', job[4] or ''})
  end
end
return line
