-- The live workers, and removal of those that have long been silent.
-- reply: [the default model or '', info ...]
local at = now()
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', fleet_key(), '-inf', at - KEEP_S)) do
  redis.call('ZREM', fleet_key(), worker)
  redis.call('HDEL', fleet_info_key(), worker)
end
local live = redis.call('ZRANGEBYSCORE', fleet_key(), at - DEAD_AFTER_S, '+inf')
local infos = #live == 0 and {} or redis.call('HMGET', fleet_info_key(), unpack(live))
table.insert(infos, 1, redis.call('HGET', default_key(), 'model') or '')
return infos
