-- Records a worker's heartbeat.  args: worker, info
redis.call('ZADD', fleet_key(), now(), args.worker)
redis.call('HSET', fleet_info_key(), args.worker, args.info)
