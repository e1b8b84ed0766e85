-- The live workers, and removal of those that have long been silent.
-- reply: [info ...]
local at = now()
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', fleet_key(), '-inf', at - KEEP_S)) do
  redis.call('ZREM', fleet_key(), worker)
  redis.call('HDEL', fleet_info_key(), worker)
end
local live = redis.call('ZRANGEBYSCORE', fleet_key(), at - DEAD_AFTER_S, '+inf')
if #live == 0 then return {} end
return redis.call('HMGET', fleet_info_key(), unpack(live))
