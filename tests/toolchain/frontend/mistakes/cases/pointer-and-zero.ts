class Job {
  id: u64 = 0;
  next: ptr<Job> | null = null;
}
export function last(job: ptr<Job>): boolean {
  return job.next === 0;
}
