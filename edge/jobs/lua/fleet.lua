-- The live workers and the lost ones, and removal of those that have long been silent.
-- reply: [the default model or '', [info ...], [info ...]]
local at = now()
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', fleet_key(), '-inf', at - KEEP_S)) do
  redis.call('ZREM', fleet_key(), worker)
  redis.call('HDEL', fleet_info_key(), worker)
end
local function infos(from, to)
  local workers = redis.call('ZRANGEBYSCORE', fleet_key(), from, to)
  return #workers == 0 and {} or redis.call('HMGET', fleet_info_key(), unpack(workers))
end
local dead_at = at - DEAD_AFTER_S
local default = redis.call('HGET', default_key(), 'model') or ''
return {default, infos(dead_at, '+inf'), infos('-inf', '(' .. dead_at)}
