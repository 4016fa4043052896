function start(): u64 {
  return 1;
}
export default start;
