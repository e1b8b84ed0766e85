-- Charges a tenant `n` before they are used, unless a window has less left.
-- args: tenant, counted, n, windows = [{window_s, limit} ...], at least one, job_id
--       (absent: nothing refunds it; else the end of this job, if it was never begun)
-- reply: is_granted, at, limit, left, resets_s, all of the tightest window
local n, at = args.n, now()
local job = args.job_id and fields_of(job_key(args.job_id), 'state', 'image_charged')
if job and (job.state ~= 'waiting' or job.image_charged) then n = 0 end  -- paid, or over
local tightest
for _, window in ipairs(args.windows) do
  local window_s, limit = window.window_s, window.limit
  window.key = quota_key(args.tenant, args.counted, window_s, math.floor(at / window_s))
  local left = limit - number_at(window.key)
  local found = {is_granted = left >= n, at = at, limit = limit,
                 left = left >= n and left - n or math.max(left, 0),
                 resets_s = math.ceil(window_s - at % window_s)}
  if not tightest or tightest.is_granted and not found.is_granted
     or found.is_granted == tightest.is_granted
        and found.left / found.limit < tightest.left / tightest.limit then
    tightest = found
  end
end
if tightest.is_granted then
  if job and n > 0 then
    redis.call('HSET', job_key(args.job_id), 'image_charged', n, 'image_charged_at', at)
  end
  for _, window in ipairs(args.windows) do
    redis.call('INCRBY', window.key, n)
    redis.call('EXPIRE', window.key, 2 * window.window_s)
  end
end
return reply(tightest)
