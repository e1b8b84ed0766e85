-- Counts what a tenant is about to use, unless that is more than it may.
-- tenant, what, how many, window_s, limit, [window_s, limit] ...
-- -> {1 or 0, at, limit, left, seconds until there is more} of the tightest window
local tenant, what, n, at = ARGV[1], ARGV[2], tonumber(ARGV[3]), now()
local tightest
for i = 4, #ARGV, 2 do
  local window_s, limit = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local used = tonumber(redis.call('GET', quota_key(tenant, what, window_s, at)) or 0)
  local left = limit - used
  local seen = {left >= n and 1 or 0, at, limit, math.max(left, 0),
                math.ceil(window_s - at % window_s)}
  if seen[1] == 1 then seen[4] = left - n end
  if not tightest or seen[1] < tightest[1]
     or seen[1] == tightest[1] and seen[4] / limit < tightest[4] / tightest[3] then
    tightest = seen
  end
end
if tightest[1] == 1 then
  for i = 4, #ARGV, 2 do
    local window_s = tonumber(ARGV[i])
    local key = quota_key(tenant, what, window_s, at)
    redis.call('INCRBY', key, n)
    redis.call('EXPIRE', key, 2 * window_s)
  end
end
tightest[2] = string.format('%.17g', at)
return tightest
