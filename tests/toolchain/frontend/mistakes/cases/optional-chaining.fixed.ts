class Job {
  id: u64 = 0;
  next: ptr<Job> | null = null;
}
export function nextId(job: ptr<Job>): u64 {
  const next = job.next;
  return next !== null ? next.id : 0;
}
