class Job {
  id: u64 = 0;
  next: ptr<Job> | null = null;
}
export function nextId(job: ptr<Job>): u64 {
  return job.next?.id ?? 0;
}
