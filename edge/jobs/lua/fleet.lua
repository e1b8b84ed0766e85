-- What the live workers say of themselves.  -> {info ...}
local at = now()
for _, name in ipairs(redis.call('ZRANGEBYSCORE', 'edge:fleet', '-inf', at - KEEP_S)) do
  redis.call('ZREM', 'edge:fleet', name)
  redis.call('HDEL', 'edge:fleet:info', name)
end
local live = redis.call('ZRANGEBYSCORE', 'edge:fleet', at - DEAD_AFTER_S, '+inf')
if #live == 0 then return {} end
return redis.call('HMGET', 'edge:fleet:info', unpack(live))
