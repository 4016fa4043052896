class Job {
  id: u64 = 0;
  next: ptr<Job> | null = null;
}
let jobs: arr<Job, 16> = zeroed();
export function create(id: u64): ptr<Job> {
  const job = addr(jobs[id]);
  job.id = id;
  return job;
}
